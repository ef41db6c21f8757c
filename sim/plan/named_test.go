package plan

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// Every scenario makes plans that are sound, stay within its families, and say by
// which kinds of faults it is known.
func TestScenarios(t *testing.T) {
	names := make([]string, 0, len(Scenarios()))
	for _, s := range Scenarios() {
		names = append(names, s.Name)
		for seed := range uint64(5) {
			p, err := GenerateScenario(s.Name, seed)
			if err != nil {
				t.Fatal(err)
			}
			if err := p.check(); err != nil {
				t.Errorf("%s, seed %d: %v", s.Name, seed, err)
			}
			if len(p.Faults) == 0 || len(p.Scenario.Kinds) == 0 || len(p.Operations) == 0 {
				t.Errorf("%s, seed %d: %d faults of kinds %v, %d operations", s.Name, seed, len(p.Faults), p.Scenario.Kinds, len(p.Operations))
			}
			for i, f := range p.Faults {
				if f.Number != i || f.At+f.Length > p.Safety || !slices.Contains(p.Scenario.Kinds, f.Kind) {
					t.Errorf("%s, seed %d: fault %d is %+v", s.Name, seed, i, f)
				}
			}
			if q, err := Decode(Encode(p)); err != nil || !reflect.DeepEqual(p, q) {
				t.Errorf("%s, seed %d: %v; it reads as another plan", s.Name, seed, err)
			}
		}
	}
	if !slices.IsSorted(names) || len(slices.Compact(slices.Clone(names))) != len(names) {
		t.Errorf("the names are %v", names)
	}
}

func TestNoScenario(t *testing.T) {
	_, err := GenerateScenario("picnic", 1)
	if !errors.Is(err, ErrScenario) || !strings.Contains(err.Error(), "rolling-restart") {
		t.Errorf("got %v, which should name those there are", err)
	}
}
