//! What `Dockerfile` and `docker-compose.yml` say of the gateway's container. (No container is run here.)

use std::collections::BTreeMap;

const DOCKERFILE: &str = include_str!("../../../Dockerfile");
const COMPOSE: &str = include_str!("../../../docker-compose.yml");

/// The stages of the image, each a list of instructions with its arguments.
fn stages() -> Vec<Vec<(String, String)>> {
    let joined = DOCKERFILE.replace("\\\n", " ");
    let lines = joined.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut stages: Vec<Vec<(String, String)>> = Vec::new();
    for line in lines {
        let (instruction, arguments) = line.split_once(' ').unwrap();
        if instruction == "FROM" {
            stages.push(Vec::new());
        }
        let words: Vec<&str> = arguments.split_whitespace().collect();
        stages.last_mut().unwrap().push((instruction.to_owned(), words.join(" ")));
    }
    stages
}

fn arguments<'a>(stage: &'a [(String, String)], instruction: &str) -> Vec<&'a str> {
    stage.iter().filter(|(name, _)| name == instruction).map(|(_, arguments)| arguments.as_str()).collect()
}

#[test]
fn image_has_the_program_no_shell_and_runs_unprivileged() {
    let stages = stages();
    let [build, image] = stages.as_slice() else { panic!("two stages: {stages:?}") };
    assert_eq!(arguments(image, "FROM"), ["gcr.io/distroless/cc-debian12:nonroot"]);
    // Nothing is run in it: there is nothing to run it.
    for absent in ["RUN", "ADD", "VOLUME", "SHELL", "ONBUILD"] {
        assert!(arguments(image, absent).is_empty(), "{absent}");
    }
    assert_eq!(arguments(image, "COPY"), ["--from=build /presign-gateway /presign-gateway"]);
    let user = arguments(image, "USER");
    let ids: Vec<u32> = user[0].split(':').map(|id| id.parse().unwrap()).collect();
    assert!(
        user.len() == 1 && ids.len() == 2 && ids.iter().all(|id| *id >= 1000),
        "a number, and not root's: {user:?}"
    );
    for command in ["ENTRYPOINT", "CMD", "HEALTHCHECK"] {
        let [command] = arguments(image, command)[..] else { panic!("one {command}") };
        assert!(command.contains('[') && !command.contains("sh -c"), "without a shell: {command}");
    }
    assert_eq!(arguments(image, "EXPOSE"), ["3000"], "the operators' listener is not exposed");
    assert!(!arguments(image, "ENV").concat().contains("VAULT"), "no secret is in it");

    let commands = arguments(build, "RUN").concat();
    assert!(commands.contains("cargo build --release --locked --no-default-features"), "without `dev`: {commands}");
    assert!(arguments(build, "ENV").contains(&"SQLX_OFFLINE=true"));
    let first = arguments(build, "FROM")[0];
    // The same Debian in both, or the program would not find its libc.
    assert!(first.starts_with("rust:") && first.contains("-bookworm") && !first.contains("latest"), "{first}");
}

#[test]
fn embedded_stack_crates_need_the_dev_feature() {
    let manifest: toml::Table = include_str!("../../../Cargo.toml").parse().unwrap();
    for dependency in manifest["features"]["dev"].as_array().unwrap() {
        let name = dependency.as_str().unwrap().strip_prefix("dep:").unwrap();
        assert_eq!(manifest["dependencies"][name]["optional"].as_bool(), Some(true), "{name}");
    }
}

/// The blocks of `docker-compose.yml` at this depth, by name, below a heading.
fn blocks(heading: &str) -> BTreeMap<String, String> {
    let (_, rest) = COMPOSE.split_once(heading).unwrap();
    let mut blocks: BTreeMap<String, String> = BTreeMap::new();
    let mut name = None;
    for line in rest.lines().take_while(|line| line.is_empty() || line.starts_with([' ', '#'])) {
        let is_name = line.starts_with("  ") && !line.starts_with("   ") && line.ends_with(':');
        if is_name {
            name = Some(line.trim().trim_end_matches(':').to_owned());
        } else if let Some(name) = &name {
            blocks.entry(name.clone()).or_default().extend([line, "\n"]);
        }
    }
    blocks
}

#[test]
fn in_compose_the_gateway_can_write_nowhere_and_gain_nothing() {
    let (_, rest) = COMPOSE.split_once("x-gateway: &gateway\n").unwrap();
    let (common, _) = rest.split_once("\nservices:").unwrap();
    for fact in ["  read_only: true", "  cap_drop: [ALL]", "  security_opt: [\"no-new-privileges:true\"]"] {
        assert!(common.lines().any(|line| line == fact), "{fact}");
    }
    let services = blocks("\nservices:\n");
    assert!(services.len() > 5 && services.contains_key("gateway"), "{:?}", services.keys());
    for (name, service) in &services {
        if service.contains("<<: *gateway\n") {
            for loosened in ["privileged", "cap_add", "user:", "network_mode", "pid:", "volumes:", "devices:"] {
                assert!(!service.contains(loosened), "{name}: {loosened}");
            }
            // A one-shot command that is handed a file, which Compose copies in.
            let is_loose = service.contains("read_only: false");
            assert_eq!(is_loose, name == "bucket", "{name}: may it write?");
        }
        assert!(!service.contains("docker.sock"), "{name}");
    }
}
