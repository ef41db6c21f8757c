package rules

import (
	"go/ast"
	"go/constant"
	"go/types"

	"golang.org/x/tools/go/analysis"
)

// Floats forbids floating-point numbers, whose last bits differ between
// processors (a compiler may fuse a multiplication with an addition).
var Floats = &analysis.Analyzer{
	Name: "floats",
	Doc:  "the core has no floating-point numbers",
	Run:  onCore(findFloats),
}

func findFloats(found *findings, f *ast.File) {
	ast.Inspect(f, func(n ast.Node) bool {
		e, ok := n.(ast.Expr)
		if !ok || isDefined(found.pass, e) {
			return true
		}
		t := found.pass.TypesInfo.TypeOf(e)
		if t == nil || !isFloat(t) || isWhole(found.pass.TypesInfo.Types[e]) {
			return true
		}
		found.report(e, "the core has a floating-point number: use integers in the smallest unit, and ratios as two integers")
		// What it is made of needs no finding of its own.
		return false
	})
}

// isDefined reports whether an expression is the name in a definition: its type, or
// the value it is given, stands beside it.
func isDefined(pass *analysis.Pass, e ast.Expr) bool {
	name, ok := e.(*ast.Ident)
	return ok && pass.TypesInfo.Defs[name] != nil
}

// isWhole reports whether an expression is a constant such as 1e9, which becomes a
// float only if it is used as one.
func isWhole(tv types.TypeAndValue) bool {
	basic, ok := tv.Type.(*types.Basic)
	return ok && basic.Info()&types.IsUntyped != 0 && tv.Value != nil &&
		constant.ToInt(tv.Value).Kind() == constant.Int
}

func isFloat(t types.Type) bool {
	basic, ok := t.Underlying().(*types.Basic)
	return ok && basic.Info()&(types.IsFloat|types.IsComplex) != 0
}
