use http::Method;
use lakeport_base::Secret;
use object_store::client::HttpRequestBody;

use super::*;

#[test]
fn refusals() {
    let keys = "COS_SECRET_ID=i&COS_SECRET_KEY=k";
    for (uri, text) in [
        (format!("cos://b?{keys}"), "parameter ENDPOINT is required"),
        ("cos://b?ENDPOINT=h".into(), "AUTH is set to 'specified', but COS_SECRET_ID is not set"),
        ("cos://b?ENDPOINT=h&COS_SECRET_ID=i".into(), "AUTH is set to 'specified', but COS_SECRET_KEY is not set"),
        (format!("cos://b?{keys}&ENDPOINT=h&REGION=r"), "unknown COS query parameters: REGION"),
        (format!("cos:///p?{keys}&ENDPOINT=h"), "empty host component; cos URI must specify a target bucket"),
    ] {
        assert_eq!(Target::parse(&uri).unwrap_err().to_string(), text, "{uri}");
    }
}

/// The worked examples of the vendor's documentation.
#[test]
fn signatures_are_those_of_the_vendor() {
    let secret = Secret::new("BQYIM75p8x0iWVFSIgqEKwFprpRSVHlz".to_string());
    let keys = Keys { id: "AKIDQjz3ltompVjBni5LitkWHFlFpwkn9U5q".into(), secret, token: None };
    let url = "http://examplebucket-1250000000.cos.ap-beijing.myqcloud.com/exampleobject(%E8%85%BE%E8%AE%AF%E4%BA%91)";
    let host = "examplebucket-1250000000.cos.ap-beijing.myqcloud.com";
    let put = http::Request::builder()
        .method(Method::PUT)
        .uri(url)
        .header("date", "Thu, 16 May 2019 06:45:51 GMT")
        .header("host", host)
        .header("content-type", "text/plain")
        .header("content-length", "13")
        .header("content-md5", "mQ/fVh815F3k6TAUm8m0eg==")
        .header("x-cos-acl", "private")
        .header("x-cos-grant-read", "uin=\"100000000011\"");
    let get = http::Request::builder()
        .uri(format!("{url}?response-content-type=application%2Foctet-stream&response-cache-control=max-age%3D600"))
        .header("date", "Thu, 16 May 2019 06:55:53 GMT")
        .header("host", host);
    for (request, time, covered, signature) in [
        (
            put,
            "1557989151;1557996351",
            "content-length;content-md5;content-type;date;host;x-cos-acl;x-cos-grant-read&q-url-param-list=",
            "3b8851a11a569213c17ba8fa7dcf2abec6935172",
        ),
        (
            get,
            "1557989753;1557996953",
            "date;host&q-url-param-list=response-cache-control;response-content-type",
            "01681b8c9d798a678e43b685a9f1bba0f6c0e012",
        ),
    ] {
        let found = authorization(&keys, time, &request.body(HttpRequestBody::empty()).unwrap());
        assert!(found.ends_with(&format!("&q-header-list={covered}&q-signature={signature}")), "{found}");
    }
}

#[test]
fn listings_go_on_after_a_marker() {
    let tencent = Tencent {
        place: Place { endpoint: Url::parse("https://cos.r.myqcloud.com").unwrap(), bucket: "b-1".into() },
        env: Env::system(),
    };
    let adapted = |query: &str| {
        let request = http::Request::get(format!("https://b-1.cos.r.myqcloud.com/?{query}"));
        let mut request = request.body(HttpRequestBody::empty()).unwrap();
        tencent.adapt(&mut request).unwrap();
        request.uri().query().unwrap_or_default().to_string()
    };
    assert_eq!(adapted("list-type=2&prefix=a%2F&start-after=a%2Fb"), "prefix=a%2F&marker=a%2Fb");
    assert_eq!(adapted("list-type=2&start-after=a&continuation-token=b"), "marker=b");
    assert_eq!(adapted("uploads"), "uploads");
    assert_eq!(tencent.copy_source("b-1/a%2Fb"), "b-1.cos.r.myqcloud.com/a%2Fb");
}
