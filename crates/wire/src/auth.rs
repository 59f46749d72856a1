//! The server's side of a SCRAM-SHA-256 exchange (RFC 5802) inside PostgreSQL's SASL messages.
//!
//! Unknown users, users without a password and wrong passwords go through the same exchange and end in the same error.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use lakeport_base::scram::{Key, MECHANISM, Verifier};
use lakeport_base::{Env, Sqlstate};
use lakeport_core::{Error, Result};

use crate::fault::{Fault, Flow};
use crate::link::Link;
use crate::message::{Fields, violation};

/// Authentication requests by their numbers.
const SASL: u32 = 10;
const SASL_CONTINUE: u32 = 11;
const SASL_FINAL: u32 = 12;
/// Bytes of randomness in the server's part of the nonce.
const NONCE_BYTES: usize = 18;
/// GS2 headers of clients that do without channel binding, or would have liked it and heard that we have none.
const GS2_HEADERS: [&str; 2] = ["n,,", "y,,"];

/// Lets the user prove the password behind a verifier.
///
/// # Errors
/// 28P01 when the proof does not hold; 08P01 when the client breaks the protocol.
pub(crate) async fn authenticate(
    link: &mut Link,
    user: &str,
    verifier: Option<Verifier>,
    mock_seed: &Key,
    env: &Env,
) -> Flow {
    link.out.authentication(SASL, format!("{MECHANISM}\0\0").as_bytes());
    link.flush().await?;
    let known = verifier.is_some();
    let verifier = verifier.unwrap_or_else(|| Verifier::mock(user, mock_seed));

    let first = initial_response(link).await?;
    let exchange = Exchange::start(&first, &verifier, env).map_err(Fault::Fatal)?;
    link.out.authentication(SASL_CONTINUE, exchange.server_first.as_bytes());
    link.flush().await?;

    let last = utf8(response(link).await?.body.to_vec())?;
    let signature = exchange.finish(&last, &verifier).map_err(Fault::Fatal)?.filter(|_| known);
    let Some(signature) = signature else {
        let message = format!("password authentication failed for user {user:?}");
        return Err(Fault::Fatal(Error::new(Sqlstate::INVALID_PASSWORD, message)));
    };
    link.out.authentication(SASL_FINAL, format!("v={}", BASE64_STANDARD.encode(signature)).as_bytes());
    Ok(())
}

/// The client's choice of mechanism and its first message.
async fn initial_response(link: &mut Link) -> Flow<String> {
    let mut fields = response(link).await?;
    let mechanism = fields.string().map_err(Fault::Fatal)?;
    if mechanism != MECHANISM {
        return Err(Fault::Fatal(violation(format!("SASL mechanism {mechanism:?} is not offered"))));
    }
    let data = fields.value().map_err(Fault::Fatal)?.unwrap_or_default();
    utf8(data.to_vec())
}

async fn response(link: &mut Link) -> Flow<Fields> {
    let frame = link.frame().await?;
    match frame.tag {
        b'p' => Ok(Fields { body: frame.body }),
        tag => Err(Fault::Fatal(violation(format!("expected a password message, found {:?}", char::from(tag))))),
    }
}

fn utf8(bytes: Vec<u8>) -> Flow<String> {
    String::from_utf8(bytes).map_err(|_| Fault::Fatal(malformed("text that is not UTF-8")))
}

fn malformed(what: &str) -> Error {
    violation(format!("malformed SCRAM message: {what}"))
}

/// An exchange after the client's first message.
struct Exchange {
    gs2_header: &'static str,
    client_first_bare: String,
    nonce: String,
    server_first: String,
}

impl Exchange {
    fn start(client_first: &str, verifier: &Verifier, env: &Env) -> Result<Exchange> {
        let gs2_header = GS2_HEADERS.into_iter().find(|header| client_first.starts_with(header));
        let gs2_header = gs2_header.ok_or_else(|| malformed("channel binding or authorization id"))?;
        let bare = &client_first[gs2_header.len()..];
        // The user's name in here is empty by PostgreSQL's custom; the one of the startup message counts.
        let client_nonce = bare.split(',').find_map(|attribute| attribute.strip_prefix("r="));
        let client_nonce = client_nonce.filter(|nonce| !nonce.is_empty()).ok_or_else(|| malformed("no nonce"))?;
        let mut random = [0; NONCE_BYTES];
        env.random(&mut random);
        let nonce = format!("{client_nonce}{}", BASE64_STANDARD.encode(random));
        let salt = BASE64_STANDARD.encode(&verifier.salt);
        let server_first = format!("r={nonce},s={salt},i={}", verifier.iterations);
        Ok(Exchange { gs2_header, client_first_bare: bare.to_string(), nonce, server_first })
    }

    /// The server's signature if the client's proof holds.
    fn finish(&self, client_final: &str, verifier: &Verifier) -> Result<Option<Key>> {
        let (without_proof, proof) = client_final.rsplit_once(",p=").ok_or_else(|| malformed("no proof"))?;
        let expected = format!("c={},r={}", BASE64_STANDARD.encode(self.gs2_header), self.nonce);
        if without_proof != expected {
            return Err(malformed("channel binding or nonce does not match"));
        }
        let proof = BASE64_STANDARD.decode(proof).ok().and_then(|proof| Key::try_from(proof).ok());
        let proof = proof.ok_or_else(|| malformed("proof is not 32 bytes in base64"))?;
        let auth_message = format!("{},{},{without_proof}", self.client_first_bare, self.server_first);
        Ok(verifier.check(&auth_message, &proof))
    }
}
