//! The GatewayRoute CRD with weights: AWS's own, and what our users' dialect adds to it.
//!
//! It is built from AWS's unmodified CRD, so that every manifest valid there stays valid and is pruned alike. The
//! blocks directly under `spec` keep AWS's shapes and gain weights, retries and timeouts. The wrapper `routeSpec`,
//! which AWS's CRD drops, also takes the dialect's short spellings: a schema cannot say "string or object" without
//! keeping unknown fields, so they are allowed only where nothing of AWS's is changed by it.

use serde_json::{Map, Value, json};

/// AWS's CRD, byte for byte; `src/api/aws/README.md` tells its origin.
const AWS_CRD: &str = include_str!("aws/appmesh.k8s.aws_gatewayroutes.yaml");

const BLOCKS: [&str; 3] = ["grpcRoute", "http2Route", "httpRoute"];
const SCHEMA: &str = "/spec/versions/0/schema/openAPIV3Schema";

/// The largest weight of an entry, as in the Gateway API.
const MAX_WEIGHT: i32 = 1_000_000;
/// App Mesh's own limit of weighted targets.
const MAX_TARGETS: u8 = 10;

/// Why the CRD could not be built; only a damaged copy of AWS's CRD can cause it.
#[derive(Debug, thiserror::Error)]
pub enum GatewayRouteCrdError {
    /// The copy is not YAML.
    #[error("cannot parse AWS's GatewayRoute CRD")]
    Parse(#[source] Box<serde_saphyr::Error>),
    /// The copy has no object where one is extended.
    #[error("AWS's GatewayRoute CRD has no object at {pointer}")]
    Missing {
        /// The JSON pointer below the CRD or below the part that was extended.
        pointer: String,
    },
}

/// AWS's CustomResourceDefinition, unmodified.
pub fn aws_gateway_route_crd() -> Result<Value, GatewayRouteCrdError> {
    serde_saphyr::from_str(AWS_CRD).map_err(|source| GatewayRouteCrdError::Parse(Box::new(source)))
}

/// The superset: a CustomResourceDefinition `gatewayroutes.appmesh.k8s.aws`, ready to install.
pub fn gateway_route_crd() -> Result<Value, GatewayRouteCrdError> {
    let mut crd = aws_gateway_route_crd()?;
    object(&mut crd, "/metadata/annotations")?
        .insert("tidegate.dev/superset-of".into(), json!("aws-app-mesh-controller-for-k8s v1.13.3"));

    let condition = format!("{SCHEMA}/properties/status/properties/conditions/items/properties");
    object(&mut crd, &condition)?.insert(
        "observedGeneration".into(),
        json!({
            "description": "The generation of the GatewayRoute that this condition is about.",
            "type": "integer", "format": "int64", "minimum": 0,
        }),
    );

    let spec = format!("{SCHEMA}/properties/spec");
    // The dialect names the gateway alone; AWS's webhook adds the uid.
    object(&mut crd, &format!("{spec}/properties/virtualGatewayRef"))?
        .insert("required".into(), json!(["name"]));
    for block in BLOCKS {
        extend_block(pointed(&mut crd, &format!("{spec}/properties/{block}"))?)?;
    }
    let wrapper = route_spec(object(&mut crd, &format!("{spec}/properties"))?)?;
    let properties = object(&mut crd, &format!("{spec}/properties"))?;
    properties.insert("routeSpec".into(), wrapper);
    properties.insert(
        "gatewayRouteName".into(),
        json!({
            "description": "The dialect's name of the route; AWS's word is awsName.",
            "type": "string", "minLength": 1, "maxLength": 255,
        }),
    );
    object(&mut crd, &spec)?.insert(
        "x-kubernetes-validations".into(),
        json!([{
            "rule": "!(has(self.routeSpec) && (has(self.httpRoute) || has(self.http2Route) || has(self.grpcRoute)))",
            "message": "a route must stand either in routeSpec or directly under spec, not in both",
        }]),
    );
    Ok(crd)
}

/// Weights, retries and timeouts for one of AWS's blocks.
fn extend_block(block: &mut Value) -> Result<(), GatewayRouteCrdError> {
    let reference = pointed(
        block,
        "/properties/action/properties/target/properties/virtualService/properties/virtualServiceRef",
    )?
    .clone();

    let target = object(block, "/properties/action/properties/target")?;
    // Required no longer: the dialect leaves the wrapper `virtualService` out.
    target.remove("required");
    target.insert(
        "x-kubernetes-validations".into(),
        json!([{
            "rule": "has(self.virtualService) != has(self.virtualServiceRef)",
            "message": "exactly one of virtualService and virtualServiceRef must be set",
        }]),
    );
    object(block, "/properties/action/properties/target/properties")?
        .insert("virtualServiceRef".into(), reference);

    let action = object(block, "/properties/action")?;
    action.remove("required");
    action.insert(
        "x-kubernetes-validations".into(),
        json!([{
            "rule": "(has(self.target) ? 1 : 0) + (has(self.weightedTargets) ? 1 : 0) + (has(self.targets) ? 1 : 0) == 1",
            "message": "exactly one of target, weightedTargets and targets must be set",
        }]),
    );
    let action = object(block, "/properties/action/properties")?;
    action.insert(
        "weightedTargets".into(),
        weighted_targets("The services that share the traffic, each by its weight. At most 10."),
    );
    action.insert("targets".into(), weighted_targets("The dialect's other name of weightedTargets."));

    let properties = object(block, "/properties")?;
    properties.insert("retryPolicy".into(), retry_policy());
    properties.insert("timeout".into(), timeout());
    properties.insert("requestMirrorPolicies".into(), mirror_policies());
    Ok(())
}

/// The wrapper `routeSpec`: the extended blocks with the dialect's short spellings, and the priority.
fn route_spec(spec: &mut Map<String, Value>) -> Result<Value, GatewayRouteCrdError> {
    let mut properties = Map::new();
    for name in BLOCKS.into_iter().chain(["priority"]) {
        let part = spec.get(name).ok_or_else(|| missing(name))?;
        properties.insert(name.to_owned(), part.clone());
    }
    let mut wrapper = json!({
        "description": "The dialect's wrapper of the route and its priority.",
        "type": "object",
        "properties": properties,
        "x-kubernetes-validations": [{
            "rule": "(has(self.httpRoute) ? 1 : 0) + (has(self.http2Route) ? 1 : 0) + (has(self.grpcRoute) ? 1 : 0) == 1",
            "message": "exactly one of httpRoute, http2Route and grpcRoute must be set",
        }],
    });
    for block in ["http2Route", "httpRoute"] {
        let rewrite = format!("/properties/{block}/properties/action/properties/rewrite/properties");
        allow_text(object(&mut wrapper, &format!("{rewrite}/prefix"))?);
        object(&mut wrapper, &rewrite)?.insert(
            "targetPrefix".into(),
            json!({
                "description": "What replaces the matched prefix, where prefix is a string.",
                "type": "string", "pattern": "^/", "minLength": 1, "maxLength": 255,
            }),
        );
        let path = format!("/properties/{block}/properties/match/properties/path");
        allow_text(object(&mut wrapper, &path)?);
    }
    Ok(wrapper)
}

/// Turns the schema of an object into that of the object or a path.
///
/// A structural schema may leave the type out only where unknown fields are kept, and says nothing about types in
/// `anyOf`. So the other types are refused by limits that none of their values meets.
fn allow_text(schema: &mut Map<String, Value>) {
    schema.remove("type");
    let path = json!({
        "x-kubernetes-preserve-unknown-fields": true,
        "pattern": "^/", "minLength": 1, "maxLength": 255,
        "minimum": 1, "maximum": 0,
        "minItems": 1, "maxItems": 0,
        "not": {"enum": [true, false]},
    });
    if let Value::Object(path) = path {
        schema.extend(path);
    }
}

fn weighted_targets(description: &str) -> Value {
    json!({
        "description": description,
        "type": "array",
        "minItems": 1,
        "maxItems": MAX_TARGETS,
        "items": {
            "type": "object",
            "required": ["virtualServiceRef", "weight"],
            "properties": {
                "virtualServiceRef": virtual_service_ref("The VirtualService that receives this share."),
                "weight": {
                    "description": "The share, in proportion to the sum of all weights.",
                    "type": "integer", "format": "int32", "minimum": 0, "maximum": MAX_WEIGHT,
                },
                "port": port(),
            },
        },
    })
}

/// Who gets copies of requests.
fn mirror_policies() -> Value {
    json!({
        "description": "The services that get copies of requests, and answer nobody.",
        "type": "array",
        "maxItems": MAX_TARGETS,
        "items": {
            "type": "object",
            "required": ["virtualServiceRef"],
            "properties": {
                "virtualServiceRef": virtual_service_ref("The VirtualService that gets the copies."),
                "port": port(),
                "percent": {
                    "description": "How many of all requests are copied; all by default.",
                    "type": "integer", "format": "int32", "minimum": 0, "maximum": 100,
                },
            },
        },
    })
}

fn virtual_service_ref(description: &str) -> Value {
    json!({
        "description": description,
        "type": "object",
        "required": ["name"],
        "properties": {
            "name": {
                "description": "Name of the VirtualService; the dialect also writes name.namespace.",
                "type": "string", "minLength": 1, "maxLength": 253,
            },
            "namespace": {
                "description": "Namespace of the VirtualService; by default the GatewayRoute's own.",
                "type": "string", "minLength": 1, "maxLength": 63,
            },
        },
    })
}

fn port() -> Value {
    json!({
        "description": "The port of the service.",
        "type": "integer", "format": "int32", "minimum": 1, "maximum": 65535,
    })
}

fn retry_policy() -> Value {
    let events = |events: &[&str]| {
        json!({
            "type": "array", "minItems": 1, "maxItems": 25,
            "items": {"type": "string", "enum": events},
        })
    };
    json!({
        "description": "When, how often and how long a request is tried again.",
        "type": "object",
        "required": ["maxRetries"],
        "properties": {
            "httpRetryEvents": events(&["client-error", "gateway-error", "server-error", "stream-error"]),
            "tcpRetryEvents": events(&["connection-error"]),
            "grpcRetryEvents":
                events(&["cancelled", "deadline-exceeded", "internal", "resource-exhausted", "unavailable"]),
            "maxRetries": {
                "description": "How often a request is tried again at most.",
                "type": "integer", "format": "int64", "minimum": 0,
            },
            "perRetryTimeout": duration("How long one try may take."),
            "perTryTimeout": duration("The dialect's other name of perRetryTimeout."),
        },
        "x-kubernetes-validations": [{
            "rule": "!(has(self.perRetryTimeout) && has(self.perTryTimeout))",
            "message": "perRetryTimeout and perTryTimeout mean the same: only one must be set",
        }],
    })
}

fn timeout() -> Value {
    json!({
        "description": "How long a request, or a silent connection, may last.",
        "type": "object",
        "properties": {
            "idle": duration("How long a connection may be silent."),
            "perRequest": duration("How long a request may take."),
        },
    })
}

/// A duration in App Mesh's shape, with AWS's units and the dialect's.
fn duration(description: &str) -> Value {
    json!({
        "description": description,
        "type": "object",
        "required": ["unit", "value"],
        "properties": {
            "unit": {
                "description": "s or SECONDS, ms or MILLIS.",
                "type": "string", "enum": ["s", "ms", "SECONDS", "MILLIS"],
            },
            "value": {
                "description": "How many units; 0 means no limit.",
                "type": "integer", "format": "int64", "minimum": 0,
            },
        },
    })
}

fn pointed<'a>(value: &'a mut Value, pointer: &str) -> Result<&'a mut Value, GatewayRouteCrdError> {
    value.pointer_mut(pointer).ok_or_else(|| missing(pointer))
}

fn object<'a>(
    value: &'a mut Value,
    pointer: &str,
) -> Result<&'a mut Map<String, Value>, GatewayRouteCrdError> {
    pointed(value, pointer)?.as_object_mut().ok_or_else(|| missing(pointer))
}

fn missing(pointer: &str) -> GatewayRouteCrdError {
    GatewayRouteCrdError::Missing { pointer: pointer.to_owned() }
}
