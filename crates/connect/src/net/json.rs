//! Requests with answers in JSON, for services without a client library here.

use futures::TryStreamExt;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use object_store::client::{HttpRequest, HttpRequestBody, HttpService};
use serde_json::Value;
use url::Url;

use super::Client;
use crate::body;
use crate::error::{Error, Result};

/// Most that is read of an answer, in bytes.
const ANSWER_BYTES_MAX: usize = 256 << 10;

/// The status and body of an answer; null in place of a body that is no JSON.
///
/// # Errors
/// No answer, or one that is too long.
pub(crate) async fn call_json(client: &Client, request: HttpRequest) -> Result<(u16, Value)> {
    let place = request.uri().authority().map(ToString::to_string).unwrap_or_default();
    let failed = |error: Error| error.context(&place);
    let answer = client.call(request).await.map_err(|error| failed(Error::from_source(&error)))?;
    let (head, body) = answer.into_parts();
    let pieces = body.bytes_stream().map_err(|error| Error::from_source(&error));
    let body = body::read_whole(pieces, ANSWER_BYTES_MAX).await.map_err(failed)?;
    Ok((head.status.as_u16(), serde_json::from_slice(&body).unwrap_or_default()))
}

/// Sends JSON with an access token; the answer as that of [`call_json`].
///
/// # Errors
/// A token that no header can hold; no answer, or one that is too long.
pub(crate) async fn post_json(client: &Client, url: &Url, token: &str, body: &Value) -> Result<(u16, Value)> {
    let request = http::Request::post(url.as_str())
        .header(CONTENT_TYPE, "application/json")
        .header(AUTHORIZATION, format!("Bearer {token}"))
        .body(HttpRequestBody::from(body.to_string()));
    call_json(client, request.map_err(|_| Error::invalid("the access token is no header value"))?).await
}
