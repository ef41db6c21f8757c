package main

import (
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var rewrite = flag.Bool("rewrite", false, "write marks.txt anew")

// marks.txt has every mark that the source can set, and no other.
func TestMarksAreListed(t *testing.T) {
	want := strings.Join(sourceMarks(t), "\n") + "\n"
	if *rewrite {
		if err := os.WriteFile("marks.txt", []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if want != markList {
		t.Errorf("marks.txt is not what the source has, which is\n%swrite it with: go test ./cmd/reprise-sim -run TestMarksAreListed -rewrite", want)
	}
}

// sourceMarks gathers the marks of the broker's source.
func sourceMarks(t *testing.T) []string {
	t.Helper()
	g := &gatherer{t: t, files: token.NewFileSet()}
	err := filepath.WalkDir("../../broker", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(g.files, name, nil, 0)
		if err == nil {
			g.file(file)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(g.names)
	return slices.Compact(g.names)
}

// gatherer finds where marks are set:
//
//	x.mark("name")
//	x.note(trace.Mark, "name", ...)
//	trace.Event{Level: trace.Mark, Name: "name"}
type gatherer struct {
	t     *testing.T
	files *token.FileSet
	names []string
}

func (g *gatherer) file(file *ast.File) {
	for _, d := range file.Decls {
		f, ok := d.(*ast.FuncDecl)
		if ok && f.Name.Name == "mark" {
			continue // it sets what its callers name
		}
		ast.Inspect(d, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CallExpr:
				g.call(n)
			case *ast.CompositeLit:
				g.event(n)
			}
			return true
		})
	}
}

func (g *gatherer) call(c *ast.CallExpr) {
	s, ok := c.Fun.(*ast.SelectorExpr)
	switch {
	case !ok:
	case s.Sel.Name == "mark" && len(c.Args) == 1:
		g.name(c.Args[0])
	case s.Sel.Name == "note" && len(c.Args) > 1 && isMark(c.Args[0]):
		g.name(c.Args[1])
	}
}

func (g *gatherer) event(c *ast.CompositeLit) {
	var name ast.Expr
	marked := false
	for _, e := range c.Elts {
		pair, ok := e.(*ast.KeyValueExpr)
		if !ok {
			continue
		}
		key, _ := pair.Key.(*ast.Ident)
		switch {
		case key == nil:
		case key.Name == "Level":
			marked = isMark(pair.Value)
		case key.Name == "Name":
			name = pair.Value
		}
	}
	if marked {
		g.name(name)
	}
}

// name takes a name that stands there as a string, and nothing else will do.
func (g *gatherer) name(e ast.Expr) {
	lit, ok := e.(*ast.BasicLit)
	if !ok {
		g.t.Errorf("%v: the name of a mark does not stand here as a string", g.files.Position(e.Pos()))
		return
	}
	name, err := strconv.Unquote(lit.Value)
	if err != nil {
		g.t.Fatal(err)
	}
	g.names = append(g.names, name)
}

func isMark(e ast.Expr) bool {
	s, ok := e.(*ast.SelectorExpr)
	return ok && s.Sel.Name == "Mark"
}
