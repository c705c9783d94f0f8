//! The stack's own object store behind a door that counts who comes, and that fails when it is told to.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use presign_gateway::dev::object_store;
use sqlx::PgConnection;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::stack::TestStack;

/// What happens to a HEAD or a DELETE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    None,
    /// This status; the code is of a body that a HEAD has not.
    Status(u16, &'static str),
    /// No such bucket: every HEAD is answered with 404.
    NoBucket,
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
    /// Objects that are answered with a status of their own.
    broken: Mutex<HashMap<String, StatusCode>>,
    calls: Mutex<HashMap<(Method, String), usize>>,
    /// Requests about the bucket itself.
    bucket_calls: AtomicUsize,
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
        let inner =
            Inner { fault, broken: Mutex::default(), calls: Mutex::default(), bucket_calls: AtomicUsize::new(0) };
        let inner = Arc::new(inner);
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

    /// From now on this object is answered with this status.
    pub fn break_object(&self, object_key: &str, status: u16) {
        let status = StatusCode::from_u16(status).unwrap();
        self.inner.broken.lock().unwrap().insert(object_key.to_owned(), status);
    }

    /// How often each object was asked for with this method.
    pub fn calls(&self, method: &Method) -> Vec<(String, usize)> {
        let calls = self.inner.calls.lock().unwrap();
        let of_method = calls.iter().filter(|((called, _), _)| called == method);
        of_method.map(|((_, path), count)| (path.clone(), *count)).collect()
    }

    /// How often it was asked whether the bucket exists.
    pub fn bucket_count(&self) -> usize {
        self.inner.bucket_calls.load(Ordering::Relaxed)
    }

    pub fn count(&self, method: &Method) -> usize {
        self.calls(method).iter().map(|(_, count)| count).sum()
    }
}

/// Lets a tenant's buckets be at another URL.
pub async fn redirect(stack: &TestStack, tenant: &str, url: &str) {
    lead(&mut stack.connect().await, tenant, url).await;
}

/// The same, by a connection to the database.
pub async fn lead(connection: &mut PgConnection, tenant: &str, url: &str) {
    let statement = "UPDATE buckets SET endpoint = $1 FROM tenants WHERE tenants.id = tenant_id AND tenants.slug = $2";
    sqlx::query(statement).bind(url).bind(tenant).execute(connection).await.unwrap();
}

async fn pass(State(inner): State<Arc<Inner>>, request: Request, next: Next) -> Response {
    if ![Method::HEAD, Method::DELETE].contains(request.method()) {
        return next.run(request).await;
    }
    // Whether there is a bucket is asked of the bucket itself: no object has so short a path.
    if !request.uri().path().trim_matches('/').contains('/') {
        inner.bucket_calls.fetch_add(1, Ordering::Relaxed);
        let is_missing = *inner.fault.borrow() == Fault::NoBucket;
        return if is_missing { StatusCode::NOT_FOUND.into_response() } else { next.run(request).await };
    }
    let call = (request.method().clone(), request.uri().path().to_owned());
    *inner.calls.lock().unwrap().entry(call).or_default() += 1;
    let mut orders = inner.fault.subscribe();
    let fault = *orders.wait_for(|fault| *fault != Fault::Hang).await.unwrap();
    let path = request.uri().path();
    let broken = inner.broken.lock().unwrap().iter().find(|(key, _)| path.ends_with(*key)).map(|(_, status)| *status);
    if let Some(status) = broken {
        return status.into_response();
    }
    match fault {
        Fault::NoBucket => StatusCode::NOT_FOUND.into_response(),
        Fault::Status(status, code) => {
            (StatusCode::from_u16(status).unwrap(), format!("<Error><Code>{code}</Code></Error>")).into_response()
        }
        Fault::None | Fault::Hang => next.run(request).await,
    }
}
