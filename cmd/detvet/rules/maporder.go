package rules

import (
	"go/ast"
	"go/types"
	"slices"

	"golang.org/x/tools/go/analysis"
)

// MapOrder forbids every walk of a map whose order is random. Keys that have no
// order of their own may be sorted by a function: as no two are equal, one that
// tells all of them apart leaves nothing to chance.
var MapOrder = &analysis.Analyzer{
	Name: "maporder",
	Doc:  "slices.Sorted(maps.Keys(m)) is the only walk of a map in the core",
	Run:  onCore(findMapOrder),
}

const sortedWalk = "walk slices.Sorted(maps.Keys(m))"

// The functions whose results or calls follow the order of a map, by package.
// Those of sortable are fine as the argument of slices.Sorted.
var (
	sortable    = map[string][]string{"maps": {"Keys", "Values"}}
	randomWalks = map[string][]string{
		"maps":    {"All", "DeleteFunc"},
		"reflect": {"MapRange", "MapKeys", "Seq", "Seq2"},
		"google.golang.org/protobuf/reflect/protoreflect": {"Range"},
	}
)

func findMapOrder(found *findings, f *ast.File) {
	// sorted are the functions that are called right inside a sort.
	sorted := make(map[ast.Expr]bool)
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.RangeStmt:
			if t := found.pass.TypesInfo.TypeOf(n.X); t != nil && isMap(t) {
				found.report(n, "the core ranges over a map, whose order is random: %s", sortedWalk)
			}
		case *ast.CallExpr:
			// A call is met before its arguments.
			if argument := sortedBy(found.pass, n); argument != nil {
				sorted[argument] = true
			}
		case *ast.SelectorExpr:
			object := found.pass.TypesInfo.Uses[n.Sel]
			if named(object, randomWalks) {
				found.report(n, "the core uses %s, which follows the random order of a map: %s", object.Name(), sortedWalk)
			}
			if named(object, sortable) && !sorted[n] {
				found.report(n, "the core uses maps.%s outside slices.Sorted: its order is random; %s", object.Name(), sortedWalk)
			}
		}
		return true
	})
}

// sortedBy gives the function that makes the sequence which a call sorts, or nil.
func sortedBy(pass *analysis.Pass, call *ast.CallExpr) ast.Expr {
	byFunction := calls(pass, call, "slices", "SortedFunc")
	if !byFunction && !calls(pass, call, "slices", "Sorted") {
		return nil
	}
	sequence, ok := ast.Unparen(call.Args[0]).(*ast.CallExpr)
	if !ok || byFunction && !calls(pass, sequence, "maps", "Keys") {
		return nil
	}
	return called(sequence)
}

// called is the function of a call, without the type arguments it may be given.
func called(call *ast.CallExpr) ast.Expr {
	switch fun := ast.Unparen(call.Fun).(type) {
	case *ast.IndexExpr:
		return ast.Unparen(fun.X)
	case *ast.IndexListExpr:
		return ast.Unparen(fun.X)
	default:
		return fun
	}
}

// calls reports whether a call is one of a package's function.
func calls(pass *analysis.Pass, call *ast.CallExpr, path, name string) bool {
	selector, ok := called(call).(*ast.SelectorExpr)
	if !ok {
		return false
	}
	object := pass.TypesInfo.Uses[selector.Sel]
	return isIn(object, path) && object.Name() == name && !isMethod(object)
}

func named(object types.Object, table map[string][]string) bool {
	return object != nil && object.Pkg() != nil && slices.Contains(table[object.Pkg().Path()], object.Name())
}

// isMap reports whether values of a type are maps; of a type parameter, whether
// they may be.
func isMap(t types.Type) bool {
	switch u := t.Underlying().(type) {
	case *types.Map:
		return true
	case *types.Interface:
		for i := range u.NumEmbeddeds() {
			if embedsMap(u.EmbeddedType(i)) {
				return true
			}
		}
	}
	return false
}

func embedsMap(t types.Type) bool {
	union, ok := t.(*types.Union)
	if !ok {
		return isMap(t)
	}
	for i := range union.Len() {
		if isMap(union.Term(i).Type()) {
			return true
		}
	}
	return false
}
