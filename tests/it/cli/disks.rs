//! Disks that are full or only to be read, and folders that are somebody else's.

use std::{
    fs,
    io::Write as _,
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::Path,
};

use headframe::testing::{on_a_small_disk, set_read_only};

use super::place::{Place, code, json, stderr, stdout};

/// Play a scene on a small disk, or say that it was not played.
fn play(mib: u32, test: &str, scene: impl FnOnce(&Path)) {
    if let Err(why) = on_a_small_disk(mib, &format!("{}::{test}", module_path!()), scene) {
        say(&format!("{test} was skipped: {why}"));
    }
}

/// Past the test's captured output, so that everybody sees it.
fn say(what: &str) {
    std::io::stderr().write_all(format!("{what}\n").as_bytes()).unwrap();
}

#[test]
fn a_run_ends_on_a_full_disk_and_the_next_one_is_refused_until_there_is_room() {
    play(64, "a_run_ends_on_a_full_disk_and_the_next_one_is_refused_until_there_is_room", |disk| {
        let place = Place::on(disk);
        place.spec("sleeps.yaml", "sleep", "{ ms: 1500 }", "");
        place.spec("shapes.yaml", "echo", "{ a: 1 }", "");
        let mut child = place.start(&["run", "sleeps.yaml"]);
        assert!(place.wait_while(&mut child, || !place.read("stderr").contains("a: started")));
        fill(disk);
        assert_eq!(child.wait().unwrap().code(), Some(0), "{}", place.read("stderr"));
        let refused = place.run(&["run", "shapes.yaml"]);
        assert_eq!(code(&refused), 4, "{}", stderr(&refused));
        assert!(stderr(&refused).contains("HF0006") && stderr(&refused).contains("No space left"), "{refused:?}");
        assert_eq!(json(&place.run(&["runs", "list", "-o", "json"]))[0]["status"], "succeeded");
        let told = place.run(&["doctor"]);
        assert!(code(&told) == 1 && stdout(&told).contains("make room"), "{}", stdout(&told));
        fs::remove_file(disk.join("filler")).unwrap();
        let told = place.run(&["run", "shapes.yaml"]);
        assert_eq!(code(&told), 0, "{}", stderr(&told));
        place.is_clean();
    });
}

/// Take all the room there is.
fn fill(disk: &Path) {
    let mut filler = fs::OpenOptions::new().create(true).append(true).open(disk.join("filler")).unwrap();
    for block in [1024 * 1024, 4096, 1] {
        while filler.write_all(&vec![1; block]).is_ok() {}
    }
}

#[test]
fn a_disk_that_is_only_to_be_read_is_told_and_can_be_looked_at() {
    play(64, "a_disk_that_is_only_to_be_read_is_told_and_can_be_looked_at", |disk| {
        let place = Place::on(disk);
        place.spec("shapes.yaml", "echo", "{ a: 1 }", "");
        assert_eq!(code(&place.run(&["run", "shapes.yaml"])), 0);
        set_read_only(disk, true);
        for args in [["run", "shapes.yaml"], ["runs", "resume"]] {
            let refused = place.run(&args);
            assert_eq!(code(&refused), 4, "{args:?}: {}", stderr(&refused));
            let told = stderr(&refused);
            assert!(told.contains("HF0006") && told.contains("Read-only file system"), "{args:?}: {told}");
        }
        for args in [["runs", "list"], ["store", "verify"], ["ledger", "verify"], ["store", "stats"]] {
            let told = place.run(&args);
            assert_eq!(code(&told), 0, "{args:?}: {}{}", stdout(&told), stderr(&told));
        }
        let told = place.run(&["doctor"]);
        assert!(code(&told) == 1 && stdout(&told).contains("Read-only file system"), "{}", stdout(&told));
        set_read_only(disk, false);
        assert_eq!(code(&place.run(&["run", "shapes.yaml"])), 0);
        place.is_clean();
    });
}

#[test]
fn a_folder_of_somebody_elses_is_refused_by_name() {
    const NOBODY: u32 = 65_534;
    let place = Place::new();
    place.spec("shapes.yaml", "echo", "{ a: 1 }", "");
    assert_eq!(code(&place.run(&["run", "shapes.yaml"])), 0);
    let closed = |mode| fs::set_permissions(place.path(".headframe"), fs::Permissions::from_mode(mode)).unwrap();
    closed(0o000);
    for args in [["run", "shapes.yaml"], ["runs", "list"], ["store", "verify"], ["ledger", "verify"]] {
        let mut command = place.command(&args);
        if rustix::process::geteuid().is_root() {
            // Permissions do not bind root.
            command.uid(NOBODY).gid(NOBODY);
        }
        let refused = match command.output() {
            Ok(refused) => refused,
            Err(error) => {
                say(&format!("skipped: nobody else can run the program here: {error}"));
                break;
            }
        };
        assert_eq!(code(&refused), 4, "{args:?}: {}", stderr(&refused));
        assert!(stderr(&refused).contains("Permission denied"), "{args:?}: {}", stderr(&refused));
        assert!(stderr(&refused).contains("HF0"), "{args:?}: {}", stderr(&refused));
    }
    closed(0o700);
    place.is_clean();
}
