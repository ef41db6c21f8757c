package rules

import (
	"go/ast"
	"go/types"
	"maps"
	"slices"
	"strconv"

	"golang.org/x/tools/go/analysis"
)

// World forbids every way to the world but the three interfaces of broker/env.
var World = &analysis.Analyzer{
	Name: "world",
	Doc:  "the core meets the world only through broker/env: no clock, random numbers, files, sockets, logs or addresses",
	Run:  onCore(findWorld),
}

// worldly maps a package (and those below it) to what takes its place.
var worldly = map[string]string{
	"os":           "go through env.Disk, or take an io.Reader or io.Writer",
	"net":          "go through env.Network",
	"syscall":      "go through the interfaces of broker/env",
	"math/rand":    "take a *prng.Stream, or draw with prng.Hash",
	"crypto/rand":  "take a *prng.Stream",
	"hash/maphash": "its seed is random; use prng.HashString or hash/fnv",
	"runtime":      "what it tells differs from run to run; measure in a shell",
	"unsafe":       "addresses differ from run to run; use values",
	"unique":       "its handles are addresses; use named integers",
	"weak":         "it depends on the garbage collector; use named bounds",
	"log":          "hand a trace.Event to the trace.Sink",
	"encoding/gob": "its bytes follow map order; use broker/codec",
	"plugin":       "link what is needed",
	"google.golang.org/protobuf/encoding/prototext": "its text differs from build to build; name the fields you print",
	"google.golang.org/protobuf/encoding/protojson": "its text differs from build to build; use encoding/json on a type of your own",
}

// ofTime are the functions of package time that read the clock, wait, or depend on
// the machine's zone. Its types and constants do no harm.
var ofTime = []string{
	"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker", "LoadLocation", "Local",
}

func findWorld(found *findings, f *ast.File) {
	for _, spec := range f.Imports {
		path := importPath(spec)
		for _, banned := range slices.Sorted(maps.Keys(worldly)) {
			if under(path, banned) {
				found.report(spec, "the core imports %s: %s", path, worldly[banned])
			}
		}
	}
	ast.Inspect(f, func(n ast.Node) bool {
		selector, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		object := found.pass.TypesInfo.Uses[selector.Sel]
		if isIn(object, "time") && slices.Contains(ofTime, object.Name()) && !isMethod(object) {
			found.report(selector, "the core uses time.%s: take the time from env.Clock, or from the event or entry at hand", object.Name())
		}
		return true
	})
}

// importPath is the path of an import, without quotes.
func importPath(spec *ast.ImportSpec) string {
	path, err := strconv.Unquote(spec.Path.Value)
	if err != nil {
		panic("rules: the parser let a bad import path through: " + spec.Path.Value)
	}
	return path
}

// isIn reports whether an object was declared by a package.
func isIn(object types.Object, path string) bool {
	return object != nil && object.Pkg() != nil && object.Pkg().Path() == path
}

func isMethod(object types.Object) bool {
	f, ok := object.(*types.Func)
	return ok && f.Signature().Recv() != nil
}
