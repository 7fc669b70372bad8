//! Query scripts: our own, which must all pass, and those of Prometheus where they are at hand, of
//! which a share per file must pass.

mod promqltest;

use std::path::{Path, PathBuf};

fn scripts(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> =
        entries.map(|e| e.path()).filter(|p| p.extension().is_some_and(|e| e == "test")).collect();
    paths.sort();
    paths
}

#[test]
fn own_scripts_pass() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts");
    let paths = scripts(&dir);
    assert!(!paths.is_empty(), "no scripts in {}", dir.display());
    for path in paths {
        let report = promqltest::run(&std::fs::read_to_string(&path).unwrap());
        for failure in &report.failures {
            eprintln!("{}:{}: {}", path.display(), failure.line, failure.text);
        }
        assert!(report.evals > 0, "{} has no evals", path.display());
        assert!(report.failures.is_empty(), "{} fails", path.display());
    }
}

/// How many evals of Prometheus's files must pass, so that none is lost again.
const FLOORS: &str = include_str!("floors.txt");

#[test]
fn prometheus_scripts_do_not_regress() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/promqltest");
    let dir = std::env::var_os("PROMQLTEST_DIR").map_or(dir, PathBuf::from);
    let paths = scripts(&dir);
    if paths.is_empty() {
        eprintln!("skipped: no scripts in {}", dir.display());
        return;
    }
    let (mut passed, mut all, mut lost) = (0, 0, Vec::new());
    for path in paths {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let report = promqltest::run(&std::fs::read_to_string(&path).unwrap());
        for failure in &report.failures {
            eprintln!("{name}:{}: {}", failure.line, failure.text);
        }
        let good = report.evals - report.failures.len().min(report.evals);
        eprintln!("{name} {good}/{}", report.evals);
        (passed, all) = (passed + good, all + report.evals);
        let floor = FLOORS.lines().find_map(|l| l.strip_prefix(&name)?.trim().parse().ok());
        if good < floor.unwrap_or(0) {
            lost.push(format!("{name}: {good}, was {floor:?}"));
        }
    }
    eprintln!("all {passed}/{all}");
    assert!(lost.is_empty(), "evals lost: {lost:?}");
}
