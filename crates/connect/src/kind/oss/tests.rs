use chrono::DateTime;
use http::Method;
use lakeport_base::Secret;
use object_store::client::HttpRequestBody;

use super::*;
use crate::relatives::set_parameters;

const KEYS: &str = "OSS_ACCESS_KEY_ID=k&OSS_ACCESS_KEY_SECRET=s";

#[test]
fn refusals() {
    let no_region = "OSS_REGION is not set, and ENDPOINT does not tell the region";
    for (uri, text) in [
        (format!("oss://b?{KEYS}"), no_region),
        (format!("oss://b?{KEYS}&ENDPOINT=https://oss.example"), no_region),
        (format!("oss://b?{KEYS}&OSS_REGION=cn.evil%2F"), "invalid OSS_REGION \"cn.evil/\""),
        ("oss://b?OSS_REGION=r".into(), "AUTH is set to 'specified', but OSS_ACCESS_KEY_ID is not set"),
        ("oss://b?OSS_REGION=r&AUTH=maybe".into(), "unsupported value maybe for AUTH"),
        (
            "oss://b?OSS_REGION=r&AUTH=anonymous&ASSUME_ROLE=r".into(),
            "ASSUME_ROLE is set, but AUTH is set to 'anonymous'",
        ),
        (
            format!("oss://b?{KEYS}&OSS_REGION=r&ASSUME_ROLE=a,,b"),
            "ASSUME_ROLE must be a comma-separated list of roles",
        ),
        (
            format!("oss://b?{KEYS}&OSS_REGION=r&ASSUME_ROLE=a%0Ab"),
            "parameter ASSUME_ROLE may hold printable ASCII characters only",
        ),
        (format!("oss://b?{KEYS}&OSS_REGION=r&AWS_REGION=r"), "unknown OSS query parameters: AWS_REGION"),
        (format!("oss:///p?{KEYS}&OSS_REGION=r"), "empty host component; oss URI must specify a target bucket"),
    ] {
        assert_eq!(Target::parse(&uri).unwrap_err().to_string(), text, "{uri}");
    }
}

#[test]
fn an_endpoint_tells_its_region() {
    for (rest, told, place) in [
        ("ENDPOINT=https://oss-cn-hangzhou.aliyuncs.com", "cn-hangzhou", "https://oss-cn-hangzhou.aliyuncs.com/"),
        ("ENDPOINT=oss-us-east-1-internal.aliyuncs.com", "us-east-1", "https://oss-us-east-1-internal.aliyuncs.com/"),
        ("ENDPOINT=http://127.0.0.1:1&OSS_REGION=r", "r", "http://127.0.0.1:1/"),
        ("OSS_REGION=cn-beijing", "cn-beijing", "https://oss-cn-beijing.aliyuncs.com/"),
    ] {
        let target = Target::parse(&format!("oss://b?{KEYS}&{rest}")).unwrap();
        assert_eq!((region(&target).unwrap().as_str(), endpoint(&target).unwrap().as_str()), (told, place), "{rest}");
    }
}

#[test]
fn roles_are_assumed_where_the_bucket_is() {
    for (endpoint, place) in [
        ("https://oss-cn-hangzhou.aliyuncs.com", "https://sts.r.aliyuncs.com/"),
        ("http://oss-cn-hangzhou-internal.aliyuncs.com", "https://sts-vpc.r.aliyuncs.com/"),
        ("https://oss-cn-hangzhou.aliyuncs.com.example", "https://oss-cn-hangzhou.aliyuncs.com.example/"),
        ("http://127.0.0.1:1", "http://127.0.0.1:1/"),
    ] {
        assert_eq!(token_service(&Url::parse(endpoint).unwrap(), "r").unwrap().as_str(), place);
    }
}

/// What the vendor's own libraries are tested with.
#[test]
fn signatures_are_those_of_the_vendor() {
    for (seconds, token, signature) in [
        (1_702_743_657, None, "e21d18daa82167720f9b1047ae7e7f1ce7cb77a31e8203a7d5f4624fa0284afe"),
        (1_702_784_856, Some("token"), "b94a3f999cf85bcdc00d332fbd3734ba03e48382c36fa4d5af5df817395bd9ea"),
    ] {
        let now = DateTime::from_timestamp(seconds, 0).unwrap();
        let secret = Secret::new("sk".to_string());
        let token = token.map(|token: &str| Secret::new(token.to_string()));
        let vendor = Aliyun {
            place: Place {
                endpoint: Url::parse("http://oss-cn-hangzhou.aliyuncs.com").unwrap(),
                bucket: "bucket".into(),
            },
            region: "cn-hangzhou".into(),
            env: Env::with_clock(move || now),
        };
        let request = http::Request::builder()
            .method(Method::PUT)
            .uri("http://bucket.oss-cn-hangzhou.aliyuncs.com/1234%2B-/123/1.txt")
            .header("x-oss-head1", "value")
            .header("abc", "value")
            .header("content-type", "text/plain");
        let mut request = request.body(HttpRequestBody::empty()).unwrap();
        let query = [
            ("param1", "value1"),
            ("+param1", "value3"),
            ("|param1", "value4"),
            ("+param2", ""),
            ("|param2", ""),
            ("param2", ""),
        ];
        set_parameters(&mut request, &query.map(|(name, value)| (name.into(), value.into()))).unwrap();
        let keys = Keys { id: "ak".into(), secret, token };
        vendor.sign(&mut request, &keys).unwrap();
        let found = request.headers()[AUTHORIZATION].to_str().unwrap();
        let date = now.format("%Y%m%d");
        assert_eq!(
            found,
            format!("OSS4-HMAC-SHA256 Credential=ak/{date}/cn-hangzhou/oss/aliyun_v4_request,Signature={signature}")
        );
    }
}
