//! Clients that ask for uploads and put files, again and again, and write down what they were told.

use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use tokio::task::JoinSet;

/// A request that is not answered by then hangs: the gateway's own limit is 10 seconds.
const HANGS: Duration = Duration::from_secs(15);
/// How long a client rests that was refused.
const REST: Duration = Duration::from_millis(10);
/// One upload in so many is followed by its file.
const PUT_EVERY: usize = 4;
/// The width that the first client of a crowd asks for: theirs are their own, too.
pub const CROWD: i32 = 10_000;

/// Where the clients send what, and in whose name.
#[derive(Clone)]
pub struct Target {
    pub url: String,
    pub api_key: String,
}

/// An upload that a client was given.
#[derive(Debug, Clone)]
pub struct Issued {
    pub object_key: String,
    /// What was said of it; together they are given once only.
    pub width: i32,
    pub height: i32,
    pub answered: Instant,
    pub took: Duration,
    /// Whether its file was put, and taken.
    pub arrived: bool,
}

/// A request that was answered without an upload.
#[derive(Debug, Clone)]
pub struct Refused {
    pub status: StatusCode,
    pub reason: String,
    pub answered: Instant,
    pub took: Duration,
}

/// A request that got no whole answer.
#[derive(Debug, Clone, Copy)]
pub struct Cut {
    pub width: i32,
    pub height: i32,
    pub at: Instant,
}

/// What all clients were told.
#[derive(Debug, Default, Clone)]
pub struct Told {
    pub issued: Vec<Issued>,
    pub refused: Vec<Refused>,
    pub cut: Vec<Cut>,
    /// Requests that were not answered in time, and answers that nobody could have meant.
    pub wrong: Vec<String>,
    pub puts_refused: usize,
}

pub struct Load {
    told: Arc<Mutex<Told>>,
    stop: Arc<AtomicBool>,
    clients: JoinSet<()>,
    pub began: Instant,
}

impl Load {
    /// So many clients, each with a connection of its own; half of them ask by each of the two routes.
    pub fn start(target: &Target, clients: i32) -> Self {
        Self::of(target, 1..=clients, Arc::default())
    }

    /// Clients that rest so long after each request.
    pub fn paced(target: &Target, clients: i32, rest: Duration) -> Self {
        Self::at_pace(target, 1..=clients, rest, Arc::default())
    }

    /// More clients, for a while; what they are told is written down with the rest.
    pub fn crowd(&self, target: &Target, clients: i32) -> Self {
        Self::of(target, CROWD..=CROWD + clients, Arc::clone(&self.told))
    }

    fn of(target: &Target, widths: RangeInclusive<i32>, told: Arc<Mutex<Told>>) -> Self {
        Self::at_pace(target, widths, Duration::ZERO, told)
    }

    fn at_pace(target: &Target, widths: RangeInclusive<i32>, rest: Duration, told: Arc<Mutex<Told>>) -> Self {
        let stop = Arc::default();
        let mut clients = JoinSet::new();
        for width in widths {
            let http = Client::builder().no_proxy().timeout(HANGS).build().unwrap();
            let client =
                Asker { target: target.clone(), http, width, rest, told: Arc::clone(&told), stop: Arc::clone(&stop) };
            clients.spawn(client.run());
        }
        Self { told, stop, clients, began: Instant::now() }
    }

    /// How many uploads were issued by now.
    pub fn issued(&self) -> usize {
        self.told.lock().unwrap().issued.len()
    }

    /// When the upload of this number was issued, where it was.
    pub fn issued_at(&self, number: usize) -> Option<Instant> {
        self.told.lock().unwrap().issued.get(number).map(|issued| issued.answered)
    }

    /// How many requests were refused by now, or cut off.
    pub fn failed(&self) -> usize {
        let told = self.told.lock().unwrap();
        told.refused.len() + told.cut.len()
    }

    /// When the last request failed that had failed by now.
    pub fn last_failure(&self) -> Option<Instant> {
        let told = self.told.lock().unwrap();
        told.refused.last().map(|refused| refused.answered).max(told.cut.last().map(|cut| cut.at))
    }

    /// Waits for so many more uploads.
    pub async fn issues(&self, more: usize, within: Duration) {
        let before = self.issued();
        let what = format!("{more} more uploads; refused with {:?}", self.last_reason());
        crate::support::within(within, &what, async || (self.issued() >= before + more).then_some(())).await;
    }

    fn last_reason(&self) -> Option<String> {
        self.told.lock().unwrap().refused.last().map(|refused| refused.reason.clone())
    }

    /// Waits for so many more requests that fail.
    pub async fn fails(&self, more: usize, within: Duration) {
        let before = self.failed();
        crate::support::within(within, "requests fail", async || (self.failed() >= before + more).then_some(())).await;
    }

    /// Waits until somebody is refused at once.
    pub async fn is_refused_at_once(&self, within: Duration) {
        let at_once = |refused: &Refused| refused.took < Duration::from_secs(4);
        let refused = async || self.told.lock().unwrap().refused.iter().any(at_once).then_some(());
        crate::support::within(within, "somebody is refused at once", refused).await;
    }

    /// Lets each client end what it is at; says what all were told, those of a crowd among them.
    pub async fn end(self) -> Told {
        self.stop.store(true, Ordering::Relaxed);
        self.clients.join_all().await;
        std::mem::take(&mut *self.told.lock().unwrap())
    }

    /// Lets each client of a crowd end what it is at.
    pub async fn disperse(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.clients.join_all().await;
    }
}

struct Asker {
    target: Target,
    http: Client,
    width: i32,
    /// After a request that went well.
    rest: Duration,
    told: Arc<Mutex<Told>>,
    stop: Arc<AtomicBool>,
}

impl Asker {
    async fn run(self) {
        for height in 1.. {
            if self.stop.load(Ordering::Relaxed) {
                return;
            }
            let rest = if self.ask(height).await { self.rest } else { REST };
            if !rest.is_zero() {
                tokio::time::sleep(rest).await;
            }
        }
    }

    fn request(&self, height: i32) -> reqwest::RequestBuilder {
        let Target { url, api_key } = &self.target;
        let width = self.width;
        let request = if width % 2 == 0 {
            let asked = json!({ "ext": "jpg", "width": width, "height": height });
            self.http.request(Method::POST, format!("{url}/v1/uploads")).json(&asked)
        } else {
            self.http.get(format!("{url}/oss/presign?ext=jpg&width={width}&height={height}"))
        };
        request.bearer_auth(api_key)
    }

    /// Whether an upload was issued.
    async fn ask(&self, height: i32) -> bool {
        let began = Instant::now();
        let answer = async {
            let answer = self.request(height).send().await?;
            Ok::<_, reqwest::Error>((answer.status(), answer.text().await?))
        };
        match answer.await {
            Ok((status, text)) => self.heard(height, began, status, &text).await,
            Err(error) if error.is_timeout() => self.note(|told| told.wrong.push(format!("hangs: {error}"))),
            Err(_) => self.note(|told| told.cut.push(Cut { width: self.width, height, at: Instant::now() })),
        }
    }

    async fn heard(&self, height: i32, began: Instant, status: StatusCode, text: &str) -> bool {
        let (answered, took) = (Instant::now(), began.elapsed());
        let body: Value = serde_json::from_str(text).unwrap_or_default();
        if let Some(reason) = body["reason"].as_str().filter(|_| body["code"] == status.as_u16()) {
            let refused = Refused { status, reason: reason.to_owned(), answered, took };
            return self.note(|told| told.refused.push(refused));
        }
        let (Some(url), Some(object_key)) = (body["data"]["url"].as_str(), body["data"]["key"].as_str()) else {
            return self.note(|told| told.wrong.push(format!("{status}: {text}")));
        };
        let object_key = object_key.to_owned();
        let mut issued = Issued { object_key, width: self.width, height, answered, took, arrived: false };
        if usize::try_from(height).unwrap() % PUT_EVERY == 0 {
            issued.arrived = self.put(url, &body["data"]["headers"], content_of(&issued.object_key)).await;
            self.note(|told| told.puts_refused += usize::from(!issued.arrived));
        }
        self.note(|told| told.issued.push(issued));
        true
    }

    async fn put(&self, url: &str, headers: &Value, content: String) -> bool {
        let mut request = self.http.put(url).body(content);
        for (name, value) in headers.as_object().into_iter().flatten() {
            request = request.header(name, value.as_str().unwrap());
        }
        request.send().await.is_ok_and(|answer| answer.status() == StatusCode::OK)
    }

    /// Writes something down; nothing was issued.
    fn note(&self, write: impl FnOnce(&mut Told)) -> bool {
        write(&mut self.told.lock().unwrap());
        false
    }
}

/// The bytes of the file that belongs to an upload.
pub fn content_of(object_key: &str) -> String {
    format!("the file of {object_key}")
}
