// Package rules holds the analyzers of detvet, one a rule. A rule looks at one
// package at a time and says, of each finding, what to use in its place. It never
// changes code.
//
// A finding is allowed by a comment on its line or the line above, which must give
// a reason:
//
//	//detvet:allow maporder the counts are summed, which any order does alike
//
// An allowance that allows nothing is a finding, too.
package rules

import (
	"go/ast"
	pathpkg "path"
	"strings"

	"golang.org/x/tools/go/analysis"
)

const module = "github.com/reprise-mq/reprise"

// All are the analyzers, in the order of their findings.
func All() []*analysis.Analyzer {
	return []*analysis.Analyzer{
		Concurrency, World, MapOrder, Floats, Texts, Floors, Sizes, Docs, Allowances,
	}
}

// shells are the packages that meet the real world: they have goroutines, clocks
// and files. Everything else is core.
var shells = []string{"cmd", "broker/rpc", "broker/osenv", "broker/server", "broker/embed", "sim/planted"}

// clientShell is a shell, but broker/client/core below it is not.
const clientShell = "broker/client"

// core reports whether a package must be deterministic.
func core(path string) bool {
	path, inside := local(path)
	if !inside || path == clientShell || forTests(path) {
		return false
	}
	return !underAny(path, shells)
}

// local gives a package's path within the module.
func local(path string) (string, bool) {
	// The variant of a package that is built for its tests is "path [path.test]".
	path, _, _ = strings.Cut(path, " ")
	if path == module {
		return "", true
	}
	return strings.CutPrefix(path, module+"/")
}

// forTests reports whether a package exists for tests only: the external tests of
// another, the program that runs them, or a suite such as env/envtest, which is
// named after the folder above it.
func forTests(path string) bool {
	folder, name := pathpkg.Split(path)
	return strings.HasSuffix(path, "_test") || strings.HasSuffix(path, ".test") ||
		name == pathpkg.Base(folder)+"test"
}

// under reports whether a path is a folder or lies below it.
func under(path, folder string) bool {
	return path == folder || strings.HasPrefix(path, folder+"/")
}

func underAny(path string, folders []string) bool {
	for _, folder := range folders {
		if under(path, folder) {
			return true
		}
	}
	return false
}

// product are the files of a package that a rule on product code looks at: not the
// tests, and nothing that was generated.
func product(pass *analysis.Pass) []*ast.File {
	var files []*ast.File
	for _, f := range pass.Files {
		if !ast.IsGenerated(f) && !isTest(pass, f) {
			files = append(files, f)
		}
	}
	return files
}

func isTest(pass *analysis.Pass, f *ast.File) bool {
	return strings.HasSuffix(pass.Fset.File(f.FileStart).Name(), "_test.go")
}

// onCore makes an analyzer's function run on core packages only.
func onCore(run func(*findings, *ast.File)) func(*analysis.Pass) (any, error) {
	return func(pass *analysis.Pass) (any, error) {
		if !core(pass.Pkg.Path()) {
			return nil, nil
		}
		return nil, each(pass, product(pass), run)
	}
}

// each runs a rule on files, then says which allowances were not needed.
func each(pass *analysis.Pass, files []*ast.File, run func(*findings, *ast.File)) error {
	for _, f := range files {
		found := newFindings(pass, f)
		run(found, f)
		found.close()
	}
	return nil
}
