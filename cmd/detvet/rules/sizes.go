package rules

import (
	"go/ast"

	"golang.org/x/tools/go/analysis"
)

// Sizes keeps files and functions readable, tests included.
var Sizes = &analysis.Analyzer{
	Name: "sizes",
	Doc:  "a file has at most 500 lines and a function 70",
	Run:  runSizes,
}

const (
	maxFileLines     = 500
	maxFunctionLines = 70
)

func runSizes(pass *analysis.Pass) (any, error) {
	return nil, each(pass, written(pass), func(found *findings, f *ast.File) {
		if lines := found.pass.Fset.File(f.FileStart).LineCount(); lines > maxFileLines {
			found.report(f.Name, "the file has %d lines, more than %d: split it by subject", lines, maxFileLines)
		}
		for _, d := range f.Decls {
			if d, ok := d.(*ast.FuncDecl); ok {
				checkFunction(found, d)
			}
		}
	})
}

func checkFunction(found *findings, d *ast.FuncDecl) {
	position := found.pass.Fset.Position
	if lines := position(d.End()).Line - position(d.Pos()).Line + 1; lines > maxFunctionLines {
		found.report(d.Name, "function %s has %d lines, more than %d: name its steps", d.Name.Name, lines, maxFunctionLines)
	}
}

// written are the files that people wrote.
func written(pass *analysis.Pass) []*ast.File {
	var files []*ast.File
	for _, f := range pass.Files {
		if !ast.IsGenerated(f) {
			files = append(files, f)
		}
	}
	return files
}
