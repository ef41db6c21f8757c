package rules

import (
	"go/ast"
	"go/token"
	"go/types"

	"golang.org/x/tools/go/analysis"
)

// Concurrency forbids what a scheduler decides.
var Concurrency = &analysis.Analyzer{
	Name: "concurrency",
	Doc:  "the core has no goroutine, channel or lock: one event at a time, and nothing blocks",
	Run:  onCore(findConcurrency),
}

func findConcurrency(found *findings, f *ast.File) {
	for _, spec := range f.Imports {
		switch importPath(spec) {
		case "sync", "sync/atomic":
			found.report(spec, "the core imports %s: a state machine is driven by one caller and never waits; keep plain fields", importPath(spec))
		}
	}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			found.report(n, "the core starts a goroutine: keep the state in a field and go on when the next event comes")
		case *ast.SelectStmt:
			found.report(n, "the core selects: let each event be a method that the driver calls")
		case *ast.SendStmt:
			found.report(n, "the core sends on a channel: append to a slice that Flush drains")
		case *ast.ChanType:
			found.report(n, "the core has a channel: use a slice as the queue, with a named bound")
		case *ast.UnaryExpr:
			if n.Op == token.ARROW {
				found.report(n, "the core receives from a channel: let the event be a method that the driver calls")
			}
		case *ast.SelectorExpr:
			// Its types alone are harmless: porcupine's callbacks take one.
			if object, ok := found.pass.TypesInfo.Uses[n.Sel].(*types.Func); ok && isIn(object, "context") {
				found.report(n, "the core uses context's %s: end what is under way by an event, or by a bound counted in steps", object.Name())
			}
		case *ast.RangeStmt:
			if t := found.pass.TypesInfo.TypeOf(n.X); t != nil {
				if _, ok := t.Underlying().(*types.Chan); ok {
					found.report(n, "the core ranges over a channel: let each event be a method that the driver calls")
				}
			}
		}
		return true
	})
}
