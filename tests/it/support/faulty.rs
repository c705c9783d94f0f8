//! The stack's own object store behind a door that counts who comes, and that fails when it is told to.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};

use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use presign_gateway::dev::object_store;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::stack::TestStack;

/// What happens to a HEAD or a DELETE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    None,
    /// This status; the code is of a body that a HEAD has not.
    Status(u16, &'static str),
    /// Nothing, until it is told to do something else.
    Hang,
}

/// The door.
pub struct FaultyStore {
    pub url: String,
    inner: Arc<Inner>,
}

struct Inner {
    fault: watch::Sender<Fault>,
    /// An object that is answered with 400.
    broken: Mutex<Option<String>>,
    calls: Mutex<HashMap<(Method, String), usize>>,
}

impl FaultyStore {
    /// A door to the files of the stack's store; the bucket of alpha leads through it from now on.
    pub async fn before_alpha(stack: &TestStack) -> Self {
        let faulty = Self::start(stack).await;
        faulty.serve(stack, "alpha").await;
        faulty
    }

    pub async fn start(stack: &TestStack) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (fault, _) = watch::channel(Fault::None);
        let inner = Arc::new(Inner { fault, broken: Mutex::default(), calls: Mutex::default() });
        let store = object_store::router(&stack.files.path().join("buckets"), &stack.demo.accounts()).unwrap();
        let router = store.layer(from_fn_with_state(Arc::clone(&inner), pass));
        tokio::spawn(object_store::run(listener, router, std::future::pending()));
        Self { url, inner }
    }

    /// Leads a tenant's buckets through this door.
    pub async fn serve(&self, stack: &TestStack, tenant: &str) {
        redirect(stack, tenant, &self.url).await;
    }

    pub fn set(&self, fault: Fault) {
        self.inner.fault.send_replace(fault);
    }

    /// From now on this object is answered with 400.
    pub fn break_object(&self, object_key: &str) {
        *self.inner.broken.lock().unwrap() = Some(object_key.to_owned());
    }

    /// How often each object was asked for with this method.
    pub fn calls(&self, method: &Method) -> Vec<(String, usize)> {
        let calls = self.inner.calls.lock().unwrap();
        let of_method = calls.iter().filter(|((called, _), _)| called == method);
        of_method.map(|((_, path), count)| (path.clone(), *count)).collect()
    }

    pub fn count(&self, method: &Method) -> usize {
        self.calls(method).iter().map(|(_, count)| count).sum()
    }
}

/// Lets a tenant's buckets be at another URL.
pub async fn redirect(stack: &TestStack, tenant: &str, url: &str) {
    let statement = "UPDATE buckets SET endpoint = $1 FROM tenants WHERE tenants.id = tenant_id AND tenants.slug = $2";
    sqlx::query(statement).bind(url).bind(tenant).execute(&mut stack.connect().await).await.unwrap();
}

async fn pass(State(inner): State<Arc<Inner>>, request: Request, next: Next) -> Response {
    if ![Method::HEAD, Method::DELETE].contains(request.method()) {
        return next.run(request).await;
    }
    let call = (request.method().clone(), request.uri().path().to_owned());
    *inner.calls.lock().unwrap().entry(call).or_default() += 1;
    let mut orders = inner.fault.subscribe();
    let fault = *orders.wait_for(|fault| *fault != Fault::Hang).await.unwrap();
    let is_broken = inner.broken.lock().unwrap().as_ref().is_some_and(|broken| request.uri().path().ends_with(broken));
    match fault {
        _ if is_broken => StatusCode::BAD_REQUEST.into_response(),
        Fault::Status(status, code) => {
            (StatusCode::from_u16(status).unwrap(), format!("<Error><Code>{code}</Code></Error>")).into_response()
        }
        Fault::None | Fault::Hang => next.run(request).await,
    }
}
