//! Who may depend on whom.

use super::Finding;
use crate::manifest::{Dependency, Need};
use crate::workspace::{Package, Workspace};

/// What a package may depend on among the packages of the workspace.
enum May {
    Only(&'static [&'static str]),
    Any,
}

/// The layers, lowest first. ARCHITECTURE.md says why.
const LAYERS: [(&str, May); 13] = [
    ("tensor4", May::Only(&[])),
    ("im2col", May::Only(&["tensor4"])),
    ("gemm", May::Only(&[])),
    ("conv", May::Only(&["tensor4", "im2col", "gemm"])),
    ("net", May::Only(&["tensor4", "im2col", "gemm", "conv"])),
    ("dataset", May::Only(&["tensor4"])),
    ("weights", May::Only(&[])),
    ("report", May::Only(&["tensor4", "im2col", "gemm", "conv", "net", "dataset"])),
    (
        "colonnade",
        May::Only(&["tensor4", "im2col", "gemm", "conv", "net", "dataset", "report", "weights"]),
    ),
    ("testkit", May::Only(&["tensor4"])),
    ("fuzzing", May::Any),
    ("benches", May::Any),
    ("xtask", May::Only(&[])),
];

/// Tests may use `testkit`, but for those of the packages that `testkit` stands on (they would
/// meet themselves a second time, as other types) and of `xtask`, which stands on nothing.
const WITHOUT_TESTKIT: [&str; 2] = ["tensor4", "xtask"];

/// The one package that calls matrixmultiply.
const PRODUCTS: (&str, &str) = ("matrixmultiply", "gemm");

pub(super) fn check(workspace: &Workspace) -> Vec<Finding> {
    let names: Vec<&str> = workspace.packages.iter().map(|package| &*package.name).collect();
    let mut findings = Vec::new();
    for (layer, _) in &LAYERS {
        if !names.contains(layer) {
            let message = format!("there is no package {layer}, but the layers of tidy name it");
            findings.push(Finding::new("Cargo.toml", 1, message));
        }
    }
    for package in &workspace.packages {
        findings.extend(check_package(package, &names));
    }
    // A new name given to a package here would hide it from the rules above.
    for entry in &workspace.manifest.entries {
        if let [section, table, name, rest @ ..] = entry.path.as_slice()
            && section == "workspace"
            && table == "dependencies"
            && (rest == ["package"] || entry.value.contains("package ="))
        {
            let message = format!("the workspace dependency {name} must keep its package's name");
            findings.push(Finding::new("Cargo.toml", entry.line, message));
        }
    }
    findings
}

fn check_package(package: &Package, names: &[&str]) -> Vec<Finding> {
    let path = format!("{}/Cargo.toml", package.folder);
    let mut findings = Vec::new();
    if package.manifest.get(&["lints", "workspace"]) != Some("true") {
        let message = format!("{} does not take the lints of the workspace", package.name);
        findings.push(Finding::new(&path, 1, message));
    }
    let Some((_, may)) = LAYERS.iter().find(|(layer, _)| *layer == package.name) else {
        let message =
            format!("{} has no place among the layers (xtask/src/tidy/depend.rs)", package.name);
        findings.push(Finding::new(&path, 1, message));
        return findings;
    };
    for dependency in package.manifest.dependencies() {
        if let Some(message) = objection(&package.name, may, &dependency, names) {
            findings.push(Finding::new(&path, dependency.line, message));
        }
    }
    findings
}

/// Why this dependency may not be.
fn objection(name: &str, may: &May, dependency: &Dependency, names: &[&str]) -> Option<String> {
    let wanted = dependency.package.as_str();
    if wanted == PRODUCTS.0 && name != PRODUCTS.1 {
        return Some(format!("{name} depends on {wanted}, which only {} may", PRODUCTS.1));
    }
    let May::Only(allowed) = may else { return None };
    if !names.contains(&wanted) || allowed.contains(&wanted) {
        return None;
    }
    if dependency.need == Need::Dev && wanted == "testkit" && !WITHOUT_TESTKIT.contains(&name) {
        return None;
    }
    let allowed = if allowed.is_empty() { "nothing".to_owned() } else { allowed.join(", ") };
    Some(format!("{name} depends on {wanted}; of this workspace it may depend on {allowed}"))
}

#[cfg(test)]
mod tests {
    use super::{LAYERS, check, check_package};
    use crate::manifest::Manifest;
    use crate::workspace::{Package, Workspace};

    const LINTS: &str = "[lints]\nworkspace = true\n";

    fn package(name: &str, text: &str) -> Package {
        Package {
            name: name.to_owned(),
            folder: format!("crates/{name}"),
            manifest: Manifest::parse(&format!("{LINTS}{text}")),
        }
    }

    fn messages(name: &str, text: &str) -> Vec<String> {
        let names: Vec<&str> = LAYERS.iter().map(|(layer, _)| *layer).collect();
        check_package(&package(name, text), &names).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn layers_may_look_down_alone() {
        let none: [&str; 0] = [];
        assert_eq!(messages("conv", "[dependencies]\ngemm.workspace = true\nrayon = \"1\""), none);
        assert_eq!(messages("benches", "[dependencies]\nnet = {}\ntestkit = {}"), none);
        assert_eq!(
            messages("gemm", "[dependencies]\nrayon = \"1\"\ntensor4 = { path = \"x\" }"),
            ["crates/gemm/Cargo.toml:5: gemm depends on tensor4; of this workspace it may \
                depend on nothing"]
        );
        assert_eq!(messages("im2col", "[build-dependencies]\nconv = {}").len(), 1);
        assert_eq!(messages("net", "[dependencies]\nd = { package = \"dataset\" }").len(), 1);
        assert_eq!(messages("net", "[target.'cfg(unix)'.dependencies]\ndataset = {}").len(), 1);
    }

    #[test]
    fn testkit_is_for_tests() {
        assert_eq!(messages("conv", "[dev-dependencies]\ntestkit = {}").len(), 0);
        assert_eq!(messages("conv", "[dependencies]\ntestkit = {}").len(), 1);
        assert_eq!(messages("tensor4", "[dev-dependencies]\ntestkit = {}").len(), 1);
        assert_eq!(messages("conv", "[dev-dependencies]\nnet = {}").len(), 1);
    }

    #[test]
    fn matrixmultiply_is_for_gemm() {
        assert_eq!(messages("gemm", "[dependencies]\nmatrixmultiply = \"0.3\"").len(), 0);
        assert_eq!(messages("conv", "[dev-dependencies]\nmatrixmultiply = \"0.3\"").len(), 1);
        assert_eq!(messages("benches", "[dependencies]\nmatrixmultiply = \"0.3\"").len(), 1);
    }

    #[test]
    fn every_package_has_a_place_and_the_lints() {
        assert_eq!(messages("winograd", "").len(), 1);
        let bare = Package { manifest: Manifest::parse(""), ..package("conv", "") };
        assert_eq!(check_package(&bare, &["conv"]).len(), 1);
    }

    #[test]
    fn the_workspace_names_packages_by_their_names() {
        let count = |text: &str| {
            let packages = LAYERS.iter().map(|(layer, _)| package(layer, "")).collect();
            let manifest = Manifest::parse(text);
            check(&Workspace { root: "".into(), manifest, packages }).len()
        };
        assert_eq!(count("[workspace.dependencies]\nrayon = \"1\""), 0);
        assert_eq!(count("[workspace.dependencies]\nr = { package = \"rayon\" }"), 1);
        let missing = Workspace {
            root: "".into(),
            manifest: Manifest::parse(""),
            packages: LAYERS[1..].iter().map(|(layer, _)| package(layer, "")).collect(),
        };
        assert_eq!(check(&missing).len(), 1);
    }
}
