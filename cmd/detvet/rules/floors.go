package rules

import (
	"go/ast"
	"maps"
	"slices"
	"strings"

	"golang.org/x/tools/go/analysis"
)

// Floors holds every import to the plan of the house.
var Floors = &analysis.Analyzer{
	Name: "floors",
	Doc:  "a package imports only lower floors, and a library only where the plan says so",
	Run:  runFloors,
}

// plan gives each package its floor; a package imports only lower ones.
var plan = map[string]int{
	"broker/api":   0,
	"broker/codec": 0,
	"sim/prng":     0,

	"broker/trace":   1,
	"broker/env":     1,
	"broker/access":  1,
	"broker/batch":   1,
	"broker/bundle":  1,
	"broker/command": 1,
	"broker/idle":    1,
	"netsim":         1,
	"histories":      1,

	"broker/batch/zstd":  2,
	"broker/env/envtest": 2,
	"broker/files":       2,
	"checker":            2,
	"workloads":          2,
	"sim/agenda":         2,
	"sim/digest":         2,

	"broker/journal": 3,
	"broker/segment": 3,
	"sim/disk":       3,
	"sim/plan":       3,

	"broker/replica":     4,
	"broker/meta":        4,
	"broker/partition":   4,
	"broker/group":       4,
	"broker/client/core": 4,
	"sim/world":          4,
	"sim/shrink":         4,

	"broker":                      5,
	"broker/client/core/coretest": 5,
	"workloads/runner":            5,

	"broker/rpc":   6,
	"broker/osenv": 6,
	"sim/oracle":   6,

	"broker/client":    7,
	"broker/server":    7,
	"sim":              7,
	"sim/planted":      7,
	"cmd/cli":          7,
	"cmd/detvet/rules": 7,

	"broker/embed":          8,
	"broker/rpc/tlstest":    7,
	"sim/planted/killsheet": 8,

	"cmd": 9,
}

// only names who may use what: packages of the project that are not for everyone
// on the floors above, and every library.
var only = map[string][]string{
	module + "/sim": {"sim", "cmd/reprise-sim"},

	"go.etcd.io/raft/v3":                  {"broker", "sim"},
	"google.golang.org/protobuf":          {"broker", "sim", "cmd"},
	"google.golang.org/grpc":              {"broker/rpc", "broker/client", "cmd"},
	"github.com/klauspost/compress":       {"broker/batch/zstd"},
	"github.com/prometheus/client_golang": {"broker/server"},
	"go.yaml.in/yaml/v3":                  {"cmd/cli"},
	"github.com/anishathalye/porcupine":   {"checker"},
	"github.com/spf13/cobra":              {"cmd"},
	"github.com/spf13/pflag":              {"cmd", "sim/planted/killsheet"},
	"github.com/xdg-go/scram":             {"broker/rpc"},
	"golang.org/x/tools":                  {"cmd/detvet"},
	"golang.org/x/sys":                    {"broker/osenv"},
	"golang.org/x/net":                    {"cmd/reprise"},
	// Tests are not looked at, so this says: only in tests.
	"pgregory.net/rapid": {"broker/env/envtest"},
}

// open are packages below an entry of only that everyone may use.
var open = []string{module + "/sim/prng"}

func runFloors(pass *analysis.Pass) (any, error) {
	path, inside := local(pass.Pkg.Path())
	if !inside || strings.HasSuffix(path, "_test") || strings.HasSuffix(path, ".test") {
		return nil, nil
	}
	files := product(pass)
	mine, planned := floor(path)
	if !planned && len(files) > 0 {
		pass.Reportf(files[0].Name.Pos(), "package %s has no floor: give it one in the plan of cmd/detvet/rules", path)
	}
	return nil, each(pass, files, func(found *findings, f *ast.File) {
		for _, spec := range f.Imports {
			checkUse(found, spec, path)
			if planned {
				checkFloor(found, spec, path, mine)
			}
		}
	})
}

// checkUse holds an import to the list of who may use what.
func checkUse(found *findings, spec *ast.ImportSpec, path string) {
	imported := importPath(spec)
	users, limited := restricted(imported)
	switch {
	case limited && !underAny(path, users):
		found.report(spec, "package %s imports %s, which only %s may use", path, imported, strings.Join(users, ", "))
	case !limited && isLibrary(imported):
		found.report(spec, "package %s imports %s, a library that is not in the plan of cmd/detvet/rules: name it there with who may use it", path, imported)
	}
}

func checkFloor(found *findings, spec *ast.ImportSpec, path string, mine int) {
	imported, inside := local(importPath(spec))
	if its, ok := floor(imported); inside && ok && its >= mine {
		found.report(spec, "package %s on floor %d imports %s on floor %d: move what both need to a lower floor, or take it as an interface or a function", path, mine, imported, its)
	}
}

// floor of a package. The commands stand on one, whatever their names.
func floor(path string) (int, bool) {
	n, ok := plan[path]
	if !ok && under(path, "cmd") {
		n, ok = plan["cmd"]
	}
	return n, ok
}

// restricted gives the users that an import is limited to.
func restricted(imported string) (users []string, ok bool) {
	if slices.Contains(open, imported) {
		return nil, false
	}
	for _, limited := range slices.Sorted(maps.Keys(only)) {
		if under(imported, limited) {
			return only[limited], true
		}
	}
	return nil, false
}

// isLibrary tells other modules from the standard library, none of whose first
// path elements has a dot.
func isLibrary(path string) bool {
	_, inside := local(path)
	first, _, _ := strings.Cut(path, "/")
	return !inside && strings.Contains(first, ".")
}
