//! The image of the program itself: `image/` builds it, the same both times, and what is in it works.

use std::fs;

use repro_tests::{Engine, TestContext, program, root, succeeds};

#[test]
fn privileged_the_program_builds_an_image_of_itself_that_works() {
    let context = TestContext::new();
    let dir = context.path("program");
    fs::create_dir(&dir).unwrap();
    fs::copy(program(), dir.join("repro")).unwrap();
    drop(context.repro(["keygen"]).run().exits(0));

    let engine = Engine::podman();
    let project = root().join("image");
    let built = context
        .repro([
            "build",
            "--locked",
            "--key",
            "repro.key",
            "-t",
            "acme/repro:1",
            "--load=podman",
        ])
        .args(["--evidence", "pack", "--build-context", "program=program"])
        .arg(project)
        .env("CONTAINER_HOST", engine.host())
        .run()
        .exits(0);
    built.prints(["reproducible"]);

    let run = |words: &[&str]| {
        let mut run = engine.client();
        run.args(["run", "--rm", "--network=none", "--pull=never", "--volume"])
            .arg(format!("{}:/work:ro", context.path("").display()))
            .arg("acme/repro:1")
            .args(words);
        succeeds(&mut run)
    };
    assert!(run(&["repro", "--version"]).starts_with("repro "));
    // The pack of the very image, by the program in it.
    let verified = run(&["repro", "verify", "pack", "--key", "repro.pub"]);
    assert!(verified.contains("verified"), "{verified}");
    // A CI starts a shell in it.
    assert_eq!(run(&["sh", "-c", "command -v repro"]), "/usr/bin/repro\n");
}
