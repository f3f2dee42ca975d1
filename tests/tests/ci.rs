//! The files for CI systems: each is well-formed, and what it runs is run, with the variables that its
//! CI would set.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

use repro_tests::{PASSWORD, Registry, RegistryKind, TestContext, program, root, tool};
use serde_json::Value;
use yaml_rust2::{Yaml, YamlLoader};

/// Its runs differ, and its build does not fail.
const DIFFERS: &str = "FROM busybox\nRUN hostname > /name\n";
/// Its runs are alike.
const SAME: &str = "FROM busybox\nRUN echo hello > /hello\n";

fn text(path: &str) -> String {
    fs::read_to_string(root().join(path)).expect("the file is there")
}

fn documents(path: &str) -> Vec<Yaml> {
    YamlLoader::load_from_str(&text(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn string(yaml: &Yaml) -> &str {
    yaml.as_str()
        .unwrap_or_else(|| panic!("{yaml:?} is no text"))
}

/// A checkout on the machine of a CI.
struct Runner {
    context: TestContext,
    checkout: PathBuf,
    variables: BTreeMap<String, String>,
}

/// What a script came to.
struct Ran {
    code: i32,
    said: String,
}

impl Runner {
    fn new(dockerfile: &str) -> Self {
        let context = TestContext::new();
        let checkout = context.project("checkout", &[("Dockerfile", dockerfile)]);
        let bin = context.path("bin");
        fs::create_dir(&bin).expect("the test made it so");
        symlink(program(), bin.join("repro")).expect("the test made it so");
        let path = format!("{}:/usr/bin:/bin:/usr/sbin:/sbin", bin.display());
        let variables = [
            ("PATH", path),
            ("HOME", context.path("home").display().to_string()),
            ("REPRO_STORE", context.store().display().to_string()),
            ("CI", "true".to_owned()),
        ];
        let variables = variables.map(|(name, value)| (name.to_owned(), value));
        Self {
            variables: variables.into(),
            context,
            checkout,
        }
    }

    #[expect(
        clippy::needless_pass_by_value,
        reason = "texts and numbers alike are given away"
    )]
    fn set(&mut self, name: &str, value: impl ToString) -> &mut Self {
        self.variables.insert(name.to_owned(), value.to_string());
        self
    }

    /// Sets it to a file in the runner's own directory.
    fn set_file(&mut self, name: &str, file: &str) -> PathBuf {
        let path = self.context.path(file);
        self.set(name, path.display());
        path
    }

    fn run(&self, shell: &[&str], script: &str) -> Ran {
        let output = Command::new(tool(shell[0]))
            .args(&shell[1..])
            .args(["-c", script])
            .env_clear()
            .envs(&self.variables)
            .current_dir(&self.checkout)
            .output()
            .expect("the test made it so");
        let said = [output.stdout, output.stderr].concat();
        Ran {
            code: output.status.code().expect("the shell ends by itself"),
            said: String::from_utf8_lossy(&said).into_owned(),
        }
    }

    fn has(&self, name: &str) -> bool {
        self.checkout.join(name).exists()
    }

    fn is_sarif(path: &Path) {
        let sarif: Value = serde_json::from_slice(&fs::read(path).expect("the test made it so"))
            .expect("the test made it so");
        assert_eq!(sarif["version"], "2.1.0");
    }
}

/// GitHub's shell for `shell: bash`.
const BASH: &[&str] = &["bash", "--noprofile", "--norc", "-eo", "pipefail"];

/// Puts `inputs` and what a step said before in the place of GitHub's expressions.
fn expanded(
    text: &str,
    inputs: &BTreeMap<String, String>,
    outputs: &BTreeMap<String, String>,
) -> String {
    let Some(inner) = text
        .strip_prefix("${{ ")
        .and_then(|rest| rest.strip_suffix(" }}"))
    else {
        assert!(!text.contains("${{"), "{text}");
        return text.to_owned();
    };
    if let Some(name) = inner.strip_prefix("inputs.") {
        return inputs
            .get(name)
            .unwrap_or_else(|| panic!("no input {name}"))
            .clone();
    }
    let name = inner.strip_prefix("steps.build.outputs.").expect(inner);
    outputs.get(name).cloned().unwrap_or_default()
}

/// Runs the action; gives the codes of its two scripts, and what the first one said to the next steps.
fn act(runner: &mut Runner, given: &[(&str, &str)]) -> (Ran, Ran, BTreeMap<String, String>) {
    let documents = documents("action.yml");
    let action = &documents[0];
    let mut inputs = BTreeMap::new();
    for (name, input) in action["inputs"].as_hash().expect("the test made it so") {
        assert!(!string(&input["description"]).is_empty());
        inputs.insert(
            string(name).to_owned(),
            string(&input["default"]).to_owned(),
        );
    }
    for (name, value) in given {
        let known = inputs.insert((*name).to_owned(), (*value).to_owned());
        assert!(known.is_some(), "the action has no input {name}");
    }
    assert_eq!(string(&action["runs"]["using"]), "composite");
    let steps = action["runs"]["steps"]
        .as_vec()
        .expect("the test made it so");
    let [build, keep, verdict] = steps.as_slice() else {
        panic!("{steps:?}")
    };
    for late in [keep, verdict] {
        assert_eq!(string(&late["if"]), "${{ always() }}");
    }
    assert_eq!(
        expanded(string(&keep["with"]["path"]), &inputs, &BTreeMap::new()),
        "repro-out"
    );
    runner.set_file("GITHUB_STEP_SUMMARY", "summary.md");
    let said = runner.set_file("GITHUB_OUTPUT", "output");
    fs::write(&said, "").expect("the test made it so");
    let temporary = runner.context.path("temporary");
    fs::create_dir_all(&temporary).expect("the test made it so");
    runner.set("RUNNER_TEMP", temporary.display());
    let mut outputs = BTreeMap::new();
    let mut step = |step: &Yaml, outputs: &BTreeMap<String, String>| {
        assert_eq!(string(&step["shell"]), "bash");
        let script = string(&step["run"]);
        assert!(
            !script.contains("${{"),
            "values reach a script as variables: {script}"
        );
        for (name, value) in step["env"].as_hash().expect("the test made it so") {
            let value = expanded(string(value), &inputs, outputs);
            runner.set(string(name), value);
        }
        runner.run(BASH, script)
    };
    let first = step(build, &outputs);
    for line in fs::read_to_string(said)
        .expect("the test made it so")
        .lines()
    {
        let (name, value) = line.split_once('=').expect("the test made it so");
        outputs.insert(name.to_owned(), value.to_owned());
    }
    let ended = step(verdict, &outputs);
    (first, ended, outputs)
}

#[test]
fn the_action_builds_and_says_what_came_of_it() {
    let mut runner = Runner::new(SAME);
    let (built, ended, outputs) = act(
        &mut runner,
        &[
            ("tags", "acme/app:1\nacme/app:2\n"),
            ("build-args", "A=1 2"),
            ("options", "--label\nby=ci"),
        ],
    );
    assert_eq!((built.code, ended.code), (0, 0), "{}", built.said);
    assert_eq!(outputs["exit-code"], "0");
    assert!(outputs["image-id"].starts_with("sha256:"), "{outputs:?}");
    Runner::is_sarif(Path::new(&outputs["sarif"]));
    let summary = fs::read_to_string(runner.context.path("summary.md")).unwrap();
    assert!(summary.contains("reproducible"), "{summary}");
    assert!(runner.has("repro-out/index.json"));
    let said = runner.context.repro(["inspect", "acme/app:2"]).run();
    drop(said.exits(0));
}

#[test]
fn the_action_keeps_the_evidence_and_then_fails() {
    let mut runner = Runner::new(DIFFERS);
    let (built, ended, outputs) = act(&mut runner, &[]);
    assert_eq!((built.code, ended.code), (0, 1), "{}", built.said);
    assert!(runner.has("repro-out/index.json"));
    assert!(runner.context.path("summary.md").exists());
    Runner::is_sarif(Path::new(&outputs["sarif"]));
    assert!(!outputs.contains_key("image-id"));

    // What a pull request writes is a value, and no part of the script.
    let hostile = "$(touch hostile); `touch hostile`";
    let (_, ended, outputs) = act(&mut runner, &[("tags", hostile)]);
    assert_eq!((ended.code, outputs["exit-code"].as_str()), (2, "2"));
    assert!(!runner.has("hostile"));
}

#[test]
fn findings_are_where_the_checkout_has_the_dockerfile() {
    let context = TestContext::new();
    let checkout = context.path("checkout");
    let app = context.project("checkout/apps/one", &[("Dockerfile", DIFFERS)]);
    let (build, pack) = context.build(&app);
    let build = build.args(["--report", "sarif=repro.sarif"]).dir(&checkout);
    build.run().exits(1);
    let places = |path: &Path| -> Vec<String> {
        let sarif: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
        let results = sarif["runs"][0]["results"].as_array().unwrap();
        let place = |result: &Value| {
            let place = &result["locations"][0]["physicalLocation"];
            let line = place["region"]["startLine"].as_u64().unwrap();
            let uri = place["artifactLocation"]["uri"].as_str().unwrap();
            format!("{uri}:{line}")
        };
        results.iter().map(place).collect()
    };
    assert_eq!(
        places(&checkout.join("repro.sarif")),
        ["apps/one/Dockerfile:2"]
    );
    // The pack says nothing of where it was made.
    assert_eq!(
        places(&pack.join("reproducibility/report.sarif")),
        ["Dockerfile:2"]
    );
}

#[test]
fn the_workflow_uses_the_inputs_that_the_action_has() {
    let action = &documents("action.yml")[0];
    let documents = documents("docs/ci/github.yml");
    let steps = documents[0]["jobs"]["image"]["steps"].as_vec().unwrap();
    let used = steps
        .iter()
        .find(|step| {
            step["uses"]
                .as_str()
                .is_some_and(|uses| uses.contains("/repro@"))
        })
        .expect("the workflow uses the action");
    for (name, _) in used["with"].as_hash().unwrap() {
        let input = &action["inputs"][string(name)];
        assert!(!input.is_badvalue(), "the action has no input {name:?}");
    }
    let text = text("docs/ci/github.yml");
    for used in text.split("steps.image.outputs.").skip(1) {
        let name: String = used
            .chars()
            .take_while(|c| c.is_alphanumeric() || *c == '-')
            .collect();
        assert!(!action["outputs"][name.as_str()].is_badvalue(), "{name}");
    }
}

/// The job of GitLab: its variables, then `before_script` and `script` in one shell.
fn gitlab(runner: &mut Runner) -> Ran {
    let documents = documents("docs/ci/gitlab-ci.yml");
    let job = &documents[0]["image"];
    assert_eq!(string(&job["artifacts"]["when"]), "always");
    for (name, value) in job["variables"].as_hash().expect("the test made it so") {
        let name = string(name);
        match name {
            "REPRO_STORE" => {}
            "REGISTRY_AUTH_FILE" => drop(runner.set_file(name, "auth.json")),
            _ => drop(runner.set(name, string(value))),
        }
    }
    let lines = ["before_script", "script"].into_iter().flat_map(|part| {
        let lines = job[part].as_vec().expect("the test made it so");
        lines
            .iter()
            .map(string)
            .map(str::to_owned)
            .collect::<Vec<_>>()
    });
    let script: Vec<String> = lines.collect();
    let ran = runner.run(BASH, &script.join("\n"));
    for path in job["artifacts"]["paths"]
        .as_vec()
        .expect("the test made it so")
    {
        assert!(runner.has(string(path)), "{path:?}: {}", ran.said);
    }
    assert!(runner.has(string(&job["artifacts"]["reports"]["junit"])));
    Runner::is_sarif(&runner.checkout.join("repro.sarif"));
    ran
}

#[test]
fn the_job_of_gitlab_pushes_what_is_reproducible_and_keeps_what_is_not() {
    let registry = Registry::start(RegistryKind::default().with_password());
    for (dockerfile, code) in [(SAME, 0), (DIFFERS, 1)] {
        let mut runner = Runner::new(dockerfile);
        let image = registry.name("group/app");
        let (host, _) = image.split_once('/').unwrap();
        runner
            .set("CI_REGISTRY", host)
            .set("CI_REGISTRY_IMAGE", &image)
            .set("CI_REGISTRY_USER", "tester")
            .set("CI_REGISTRY_PASSWORD", PASSWORD)
            .set("CI_COMMIT_SHORT_SHA", format!("c0ffee{code}"));
        let ran = gitlab(&mut runner);
        assert_eq!(ran.code, code, "{}", ran.said);
        assert_eq!(ran.said.contains("pushed "), code == 0, "{}", ran.said);
    }
}

#[test]
fn the_pipeline_of_jenkins_runs_and_its_braces_match() {
    let text = text("docs/ci/Jenkinsfile");
    assert_eq!(text.matches('{').count(), text.matches('}').count());
    let quoted: Vec<&str> = text.split("'''").collect();
    let [_, script, _] = quoted.as_slice() else {
        panic!("{quoted:?}")
    };
    for (dockerfile, code) in [(SAME, 0), (DIFFERS, 1)] {
        let mut runner = Runner::new(dockerfile);
        runner.set("BUILD_NUMBER", 7);
        for line in text.lines() {
            if let Some((name, value)) = line.trim().split_once(" = ")
                && name.starts_with("REPRO_")
            {
                runner.set(name, value.trim_matches('\''));
            }
        }
        let keygen = runner.context.repro(["keygen"]).run();
        drop(keygen.exits(0));
        runner.set_file("REPRO_KEY", "repro.key");
        // Jenkins's shell.
        let ran = runner.run(&["sh", "-xe"], script);
        assert_eq!(ran.code, code, "{}", ran.said);
        for name in ["repro-out/index.json", "repro.md", "repro.xml"] {
            assert!(runner.has(name), "{name}");
        }
        Runner::is_sarif(&runner.checkout.join("repro.sarif"));
        assert_eq!(runner.has("repro.id"), code == 0);
    }
}

#[test]
fn the_task_of_tekton_leaves_its_results() {
    let documents = documents("docs/ci/tekton.yaml");
    let [task, run] = documents.as_slice() else {
        panic!("a task, and a run of it")
    };
    let name = string(&task["metadata"]["name"]);
    let used = &run["spec"]["pipelineSpec"]["tasks"][0];
    assert_eq!(string(&used["taskRef"]["name"]), name);
    let step = &task["spec"]["steps"][0];
    let registry = Registry::start(RegistryKind::default());
    for (dockerfile, code) in [(SAME, 0), (DIFFERS, 1)] {
        let mut runner = Runner::new(dockerfile);
        let image = registry.name("app:1");
        let mut parameters = BTreeMap::new();
        for param in task["spec"]["params"].as_vec().unwrap() {
            let value = param["default"].as_str().unwrap_or(&image);
            parameters.insert(
                format!("$(params.{})", string(&param["name"])),
                value.to_owned(),
            );
        }
        let results = runner.context.path("results");
        fs::create_dir(&results).unwrap();
        for result in task["spec"]["results"].as_vec().unwrap() {
            let name = string(&result["name"]);
            let path = results.join(name).display().to_string();
            parameters.insert(format!("$(results.{name}.path)"), path);
        }
        // Optional ones that nobody gave have no path.
        for name in ["credentials", "signing"] {
            parameters.insert(format!("$(workspaces.{name}.path)"), String::new());
        }
        let filled = |text: &str| {
            let filled = parameters
                .iter()
                .fold(text.to_owned(), |text, (name, value)| {
                    text.replace(name, value)
                });
            assert!(
                !filled.contains("$(params") && !filled.contains("$(work"),
                "{filled}"
            );
            filled
        };
        for variable in step["env"].as_vec().unwrap() {
            let name = string(&variable["name"]);
            if name != "REPRO_STORE" {
                runner.set(name, filled(string(&variable["value"])));
            }
        }
        let ran = runner.run(&["sh"], &filled(string(&step["script"])));
        assert_eq!(ran.code, code, "{}", ran.said);
        let result = |name: &str| fs::read_to_string(results.join(name)).unwrap();
        assert_eq!(result("exit-code"), code.to_string());
        assert_eq!(result("image-id").starts_with("sha256:"), code == 0);
        assert!(runner.has("repro-out/index.json") && runner.has("repro.md"));
        Runner::is_sarif(&runner.checkout.join("repro.sarif"));
    }
}
