//! What the gateway answers by itself: in plain text, and to a gRPC call in gRPC's words, as Envoy does.

use http::{HeaderValue, Response, StatusCode, header};

use crate::sandbox::serve::{Body, full};

/// The mark of such an answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Local {
    status: StatusCode,
    text: &'static str,
}

/// Answers in plain text.
pub(super) fn local(status: StatusCode, text: &'static str) -> Response<Body> {
    let mut response = Response::new(full(text));
    *response.status_mut() = status;
    response.extensions_mut().insert(Local { status, text });
    response
}

impl Local {
    /// The same to a gRPC call: all of it is headers.
    pub(super) fn to_call(self) -> Response<Body> {
        let mut response = Response::new(full(""));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        headers.insert("grpc-status", HeaderValue::from_static(code(self.status)));
        headers.insert("grpc-message", HeaderValue::from_static(self.text.trim_ascii_end()));
        response
    }
}

/// gRPC's code for a status of HTTP, by its own table.
fn code(status: StatusCode) -> &'static str {
    match status {
        StatusCode::NOT_FOUND => "12",
        StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => "14",
        _ => "2",
    }
}
