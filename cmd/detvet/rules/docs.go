package rules

import (
	"go/ast"
	"go/token"
	"regexp"
	"strings"

	"golang.org/x/tools/go/analysis"
)

// Docs wants a sentence for every name that others see, and no note of what is
// still to be done.
var Docs = &analysis.Analyzer{
	Name: "docs",
	Doc:  "every package and exported name has a comment; nothing is left to do later",
	Run:  runDocs,
}

var leftover = regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME|XXX|HACK)\b`)

func runDocs(pass *analysis.Pass) (any, error) {
	checkPackageDoc(pass)
	return nil, each(pass, written(pass), func(found *findings, f *ast.File) {
		for _, group := range f.Comments {
			for _, c := range group.List {
				if mark := leftover.FindString(c.Text); mark != "" {
					found.report(c, "a comment says %s: do it, or say in words what is so and why", mark)
				}
			}
		}
		if isTest(pass, f) {
			return
		}
		for _, d := range f.Decls {
			checkDoc(found, d)
		}
	})
}

// checkPackageDoc wants one doc comment among the files of a package.
func checkPackageDoc(pass *analysis.Pass) {
	files := product(pass)
	for _, f := range files {
		if f.Doc != nil && strings.TrimSpace(f.Doc.Text()) != "" {
			return
		}
	}
	if len(files) > 0 {
		pass.Reportf(files[0].Name.Pos(), "package %s has no comment: say what it owns and what it never does", pass.Pkg.Name())
	}
}

func checkDoc(found *findings, d ast.Decl) {
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Name.IsExported() && receiverExported(d) && d.Doc == nil {
			found.report(d.Name, "%s has no comment: say what it does, in units and errors", d.Name.Name)
		}
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			checkSpec(found, d, spec)
		}
	}
}

// checkSpec wants a comment on each type. For a value, one at its line's end or on
// the group that it stands in will do.
func checkSpec(found *findings, d *ast.GenDecl, spec ast.Spec) {
	switch spec := spec.(type) {
	case *ast.TypeSpec:
		if spec.Name.IsExported() && spec.Doc == nil && (d.Doc == nil || d.Lparen != token.NoPos) {
			found.report(spec.Name, "type %s has no comment: say what it stands for", spec.Name.Name)
		}
	case *ast.ValueSpec:
		for _, name := range spec.Names {
			if name.IsExported() && spec.Doc == nil && spec.Comment == nil && d.Doc == nil {
				found.report(name, "%s has no comment: say what it stands for, and in which unit", name.Name)
			}
		}
	}
}

// receiverExported reports whether a function is no method, or one that others
// can call by name.
func receiverExported(d *ast.FuncDecl) bool {
	if d.Recv == nil || len(d.Recv.List) == 0 {
		return true
	}
	t := d.Recv.List[0].Type
	if star, ok := t.(*ast.StarExpr); ok {
		t = star.X
	}
	switch generic := t.(type) {
	case *ast.IndexExpr:
		t = generic.X
	case *ast.IndexListExpr:
		t = generic.X
	}
	name, ok := t.(*ast.Ident)
	return !ok || name.IsExported()
}
