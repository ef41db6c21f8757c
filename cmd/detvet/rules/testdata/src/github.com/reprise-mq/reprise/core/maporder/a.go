// Package maporder breaks the rule of its name.
package maporder

import (
	"maps"
	"reflect"
	"slices"
	"strings"
)

type set map[string]int

func walks(m map[string]int, s set) {
	for range m { // want `the core ranges over a map, whose order is random: walk slices.Sorted\(maps.Keys\(m\)\)`
	}
	for k := range s { // want `the core ranges over a map`
		delete(s, k)
	}
	for range maps.Keys(m) { // want `the core uses maps.Keys outside slices.Sorted`
	}
	for range maps.All(m) { // want `the core uses All, which follows the random order`
	}
	_ = slices.Collect(maps.Values(m))                                     // want `the core uses maps.Values outside`
	_ = slices.SortedFunc(maps.Values(m), func(a, b int) int { return 0 }) // want `the core uses maps.Values outside`
	maps.DeleteFunc(m, func(string, int) bool { return true })             // want `the core uses DeleteFunc`
	_ = reflect.ValueOf(m).MapKeys()                                       // want `the core uses MapKeys`
	keys := maps.Keys[map[string]int]                                      // want `the core uses maps.Keys outside`
	_ = keys
}

func generic[M ~map[K]V, K comparable, V any](m M) {
	for range m { // want `the core ranges over a map`
	}
}

func harmless(m map[string]int, s set) int {
	for _, k := range slices.Sorted(maps.Keys(m)) {
		_ = k
	}
	for _, v := range slices.Sorted((maps.Values(s))) {
		_ = v
	}
	_ = slices.Sorted(maps.Keys[set](s))
	_ = slices.SortedFunc(maps.Keys(m), strings.Compare)
	clear(m)
	_ = maps.Clone(m)
	for range []int(nil) {
	}
	for range slices.Values([]int{1}) {
	}
	return len(m)
}

func allowed(m map[string]int) (sum int) {
	//detvet:allow maporder a sum is the same in any order
	for _, v := range m {
		sum += v
	}
	for _, v := range m { //detvet:allow maporder and so is this one
		sum += v
	}
	//detvet:allow maporder there is nothing here to allow // want `nothing here breaks the rule maporder`
	return sum
}

func notAllowed(m map[string]int) {
	/* want `an allowance needs a reason` */ //detvet:allow maporder
	for range m {                            // want `the core ranges over a map`
	}
	//detvet:allow world it names another rule // want `nothing here breaks the rule world`
	for range m { // want `the core ranges over a map`
	}
}
