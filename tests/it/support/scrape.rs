//! What `/metrics` says, read as Prometheus does.

use std::collections::BTreeSet;
use std::iter::Sum;
use std::str::FromStr;

use super::stack::TestStack;

/// One scrape of a gateway.
pub struct Scrape(String);

impl Scrape {
    pub async fn of(stack: &TestStack) -> Self {
        Self::at(stack, &stack.ops_url).await
    }

    pub async fn at(stack: &TestStack, ops_url: &str) -> Self {
        Self::with(&stack.client, ops_url).await
    }

    pub async fn with(client: &reqwest::Client, ops_url: &str) -> Self {
        let answer = client.get(format!("{ops_url}/metrics")).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        Self(answer.text().await.unwrap())
    }

    /// The sum of the samples of this name that have these labels; `None` where there is none.
    pub fn value<T: FromStr + Sum<T>>(&self, name: &str, labels: &[(&str, &str)]) -> Option<T> {
        let has = |sample: &&str| labels.iter().all(|(label, value)| sample.contains(&format!("{label}=\"{value}\"")));
        let samples: Vec<_> = self.samples(name).filter(has).collect();
        let number = |sample: &&str| sample.rsplit(' ').next().unwrap().parse().ok().unwrap();
        (!samples.is_empty()).then(|| samples.iter().map(number).sum())
    }

    /// As [`Self::value`], of what is counted; nothing being 0.
    pub fn count(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        self.value(name, labels).unwrap_or(0)
    }

    /// Each sample of this name, on its line.
    pub fn samples<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let of_name = move |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']));
        self.0.lines().filter(of_name)
    }

    /// The names of all metrics, a histogram's without its suffix.
    pub fn names(&self) -> BTreeSet<&str> {
        let types = self.0.lines().filter_map(|line| line.strip_prefix("# TYPE "));
        types.map(|line| line.split(' ').next().unwrap()).collect()
    }
}
