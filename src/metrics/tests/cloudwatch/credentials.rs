use aws_credential_types::provider::{
    ProvideCredentials, SharedCredentialsProvider, error::CredentialsError, future,
};
use axum::{Router, http::StatusCode, response::IntoResponse};

use super::*;

type Lacking = fn() -> CredentialsError;

/// Where no credentials come from.
#[derive(Debug)]
struct Without(Lacking);

impl ProvideCredentials for Without {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::ready(Err(self.0()))
    }
}

async fn look_of(config: &CloudWatchConfig, environment: aws_config::SdkConfig) -> Result<Arms, ReadError> {
    with(config, environment).look(&look_at_groups(), now()).await.arms.unwrap()
}

#[tokio::test]
async fn absent_credentials_say_which_kind_of_absent() {
    let fake = serve(|called| Reply::Page(healthy(&called))).await;
    let cases: [(Lacking, &str); 4] = [
        (
            CredentialsError::not_loaded_no_source,
            "no AWS credentials were found; give the controller's pod a role",
        ),
        (|| CredentialsError::provider_timed_out(Duration::from_secs(1)), "no AWS credentials came in time"),
        (|| CredentialsError::invalid_configuration(SECRET), "are not configured rightly"),
        (|| CredentialsError::provider_error(SECRET), "can't be had"),
    ];
    for (error, want) in cases {
        let without = SharedCredentialsProvider::new(Without(error));
        let environment = environment().load().await.into_builder().credentials_provider(without).build();
        let error = told(&look_of(&config(&fake), environment).await.unwrap_err());
        assert!(error.contains(want), "{want}: {error}");
    }
    assert_eq!(fake.calls().len(), 0);
}

#[tokio::test]
async fn a_missing_region_is_told_and_a_configured_one_wins() {
    let fake = serve(|called| Reply::Page(healthy(&called))).await;
    let nowhere = || async { environment().load().await.into_builder().region(None).build() };
    let none = CloudWatchConfig { region: None, ..config(&fake) };
    let error = told(&look_of(&none, nowhere().await).await.unwrap_err());
    assert!(error.starts_with("no AWS region is known; give cloudWatch.region"), "{error}");
    assert!(look_of(&config(&fake), nowhere().await).await.is_ok());
    assert!(look_of(&none, environment().load().await).await.is_ok());
    let scopes: Vec<bool> = fake
        .calls()
        .iter()
        .map(|call| call.headers["authorization"].to_str().unwrap().contains("/us-east-1/monitoring/"))
        .collect();
    assert_eq!(scopes, [false, true]);
}

/// Where roles are assumed.
async fn sts(status: u16, body: String) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let app = Router::new().fallback(move |form: String| async move {
        assert!(form.contains("Action=AssumeRole") && form.contains("RoleSessionName=tidegate"), "{form}");
        assert!(form.contains("RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Ftidegate"), "{form}");
        (StatusCode::from_u16(status).unwrap(), [("content-type", "text/xml")], body).into_response()
    });
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

#[tokio::test]
async fn a_role_is_assumed_or_told_to_be_refused() {
    let fake = serve(|called| Reply::Page(healthy(&called))).await;
    let config = CloudWatchConfig {
        role_arn: Some("arn:aws:iam::123456789012:role/tidegate".to_owned()),
        ..config(&fake)
    };
    let assumed = format!(
        "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleResult><Credentials>\
         <AccessKeyId>ASIAASSUMED</AccessKeyId><SecretAccessKey>{SECRET}</SecretAccessKey>\
         <SessionToken>token</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration></Credentials>\
         </AssumeRoleResult></AssumeRoleResponse>"
    );
    let environment_at =
        |sts: String| async { environment().load().await.into_builder().endpoint_url(sts).build() };
    let arms = look_of(&config, environment_at(sts(200, assumed).await).await).await;
    assert!(arms.is_ok(), "{arms:?}");
    let [call] = fake.calls().try_into().unwrap();
    assert!(call.headers["authorization"].to_str().unwrap().contains("Credential=ASIAASSUMED/"));
    assert_eq!(call.headers["x-amz-security-token"], "token");

    let denied = format!(
        "<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>{SECRET}</Message></Error>\
         </ErrorResponse>"
    );
    let environment = environment_at(sts(403, denied).await).await;
    let error = told(&look_of(&config, environment).await.unwrap_err());
    assert!(error.contains("can't be assumed; grant the controller sts:AssumeRole"), "{error}");
    assert_eq!(fake.calls().len(), 1);
}
