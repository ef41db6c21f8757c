package rules

import (
	"testing"

	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/analysis/analysistest"
)

// TestRules runs the rules over packages made to break them, which say in comments
// what must be found; and nothing else may be, by any rule. The shells break the
// rules of the core, to no effect.
func TestRules(t *testing.T) {
	run(t, []*analysis.Analyzer{Concurrency, World, MapOrder, Floats, Texts, Sizes, Docs, Allowances},
		"core/concurrency", "core/world", "core/maporder", "core/floats", "core/texts", "core/sizes",
		"core/docs", "core/documented", "core/allowances", "broker/client/core",
		"broker/rpc", "broker/osenv", "broker/server", "broker/client", "broker/env/envtest")
}

func TestFloors(t *testing.T) {
	run(t, []*analysis.Analyzer{Floors}, "broker/journal", "checker", "cmd/reprise", "cmd/reprise-sim", "unplanned")
}

// run makes one analyzer of several, as loading takes most of the time.
func run(t *testing.T, rules []*analysis.Analyzer, packages ...string) {
	t.Helper()
	together := &analysis.Analyzer{
		Name: "together",
		Doc:  "all rules at once",
		Run: func(pass *analysis.Pass) (any, error) {
			for _, rule := range rules {
				own := *pass
				own.Analyzer = rule
				if _, err := rule.Run(&own); err != nil {
					return nil, err
				}
			}
			return nil, nil
		},
	}
	paths := make([]string, len(packages))
	for i, p := range packages {
		paths[i] = module + "/" + p
	}
	analysistest.Run(t, analysistest.TestData(), together, paths...)
}

func TestCore(t *testing.T) {
	for path, want := range map[string]bool{
		"broker":                        true,
		"broker/client/core":            true,
		"broker/rpcs":                   true,
		"sim":                           true,
		"sim [" + module + "/sim.test]": true,
		"broker/client":                 false,
		"broker/rpc":                    false,
		"broker/osenv/below":            false,
		"cmd/reprise":                   false,
		"broker/env/envtest":            false,
		"broker/latest":                 true,
		"broker/client/core/coretest":   false,
		"broker/journal_test":           false,
		"broker/journal.test":           false,
	} {
		if core(module+"/"+path) != want {
			t.Errorf("core(%q) is %v", path, !want)
		}
	}
	if core("fmt") {
		t.Error("a package of the standard library is core")
	}
}
