package rules

import (
	"go/ast"
	"go/constant"
	"go/types"
	"strings"

	"golang.org/x/tools/go/analysis"
)

// Texts forbids texts that differ from run to run or from build to build: printed
// addresses and maps, and the text forms of protobuf messages.
var Texts = &analysis.Analyzer{
	Name: "texts",
	Doc:  "the core prints no address, no map and no protobuf message",
	Run:  onCore(findTexts),
}

const (
	saysMap     = "prints a map: print its sorted keys, or its length"
	saysAddress = "prints an address: print the fields that matter, or give the type a String method"
	saysMessage = "prints a protobuf message, whose text differs from build to build: print the fields that matter"
	saysStatus  = "prints raft's status, whose text follows map order: print the fields that matter"
)

func findTexts(found *findings, f *ast.File) {
	ast.Inspect(f, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		selector, ok := called(call).(*ast.SelectorExpr)
		if !ok {
			return true
		}
		object := found.pass.TypesInfo.Uses[selector.Sel]
		switch {
		case isIn(object, "fmt") && !isMethod(object):
			findPrinted(found, object.Name(), call)
		case object != nil && object.Name() == "String" && isMethod(object):
			receiver := found.pass.TypesInfo.TypeOf(selector.X)
			if isMessage(receiver) {
				found.report(selector, "the core %s", saysMessage)
			}
			if isRaftStatus(receiver) {
				found.report(selector, "the core %s", saysStatus)
			}
		}
		return true
	})
}

// findPrinted looks at what a function of package fmt prints.
func findPrinted(found *findings, name string, call *ast.CallExpr) {
	arguments := call.Args
	switch {
	case strings.Contains(name, "Fprint"), strings.Contains(name, "Append"):
		// The first is where to print to.
		arguments = arguments[1:]
	case !strings.Contains(name, "rint") && name != "Errorf":
		return
	}
	for _, argument := range arguments {
		tv := found.pass.TypesInfo.Types[argument]
		if tv.Value != nil {
			if tv.Value.Kind() == constant.String && strings.Contains(constant.StringVal(tv.Value), "%p") {
				found.report(argument, "the core %s", saysAddress)
			}
			continue
		}
		if what := printed(tv.Type, 0, make(map[types.Type]bool)); what != "" {
			found.report(argument, "the core %s", what)
		}
	}
}

// printed says what is wrong with the text of a value, given how deep it lies in
// what is printed: fmt follows a pointer to a struct, slice or array at the top
// only, and prints those below as addresses.
func printed(t types.Type, depth int, seen map[types.Type]bool) string {
	switch {
	case t == nil || seen[t]:
		return ""
	case isRaftStatus(t):
		return saysStatus
	case hasMethod(t, "Error"), hasMethod(t, "Format"):
		// fmt asks for these first, so an error may be a message.
		return ""
	case isMessage(t):
		return saysMessage
	case hasMethod(t, "String"):
		return ""
	}
	seen[t] = true
	switch u := t.Underlying().(type) {
	case *types.Map:
		return saysMap
	case *types.Chan, *types.Signature:
		return saysAddress
	case *types.Pointer:
		switch u.Elem().Underlying().(type) {
		case *types.Struct, *types.Slice, *types.Array:
			if depth == 0 {
				return printed(u.Elem(), 1, seen)
			}
		}
		return saysAddress
	case *types.Slice:
		return printed(u.Elem(), depth+1, seen)
	case *types.Array:
		return printed(u.Elem(), depth+1, seen)
	case *types.Struct:
		for i := range u.NumFields() {
			if what := printed(u.Field(i).Type(), depth+1, seen); what != "" {
				return what
			}
		}
	}
	return ""
}

// isMessage reports whether a type is a protobuf message.
func isMessage(t types.Type) bool { return hasMethod(t, "ProtoReflect") }

func hasMethod(t types.Type, name string) bool {
	if t == nil {
		return false
	}
	if _, ok := t.Underlying().(*types.Interface); ok && name == "ProtoReflect" {
		// An interface that may hold a message is judged where it is filled.
		return false
	}
	object, _, _ := types.LookupFieldOrMethod(t, true, nil, name)
	_, ok := object.(*types.Func)
	return ok
}

func isRaftStatus(t types.Type) bool {
	if pointer, ok := t.(*types.Pointer); ok {
		t = pointer.Elem()
	}
	named, ok := t.(*types.Named)
	return ok && isIn(named.Obj(), "go.etcd.io/raft/v3") && strings.HasSuffix(named.Obj().Name(), "Status")
}
