package plan

import (
	"bytes"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// Over many seeds every kind of fault is planned often, no seed plans one of a
// family that is off, and in at least one seed in ten nothing goes wrong at all: there are
// only acts of whoever runs the cluster.
func TestSwarm(t *testing.T) {
	const seeds = 400
	planned := make(map[Kind]int)
	quietSeeds := 0
	for seed := range uint64(seeds) {
		p := Generate(seed)
		if err := p.check(); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		on := map[string]bool{
			"process": p.Families.Process, "disk": p.Families.Disk,
			"network": p.Families.Network, "membership": p.Families.Membership,
			"clock": p.Families.Clock, "load": p.Families.Load,
			"groups": p.Workload.Grouped(),
			"topics": p.Workload.Retains(),
		}
		here := make(map[Kind]bool)
		for i, f := range p.Faults {
			if !on[f.Kind.Family()] {
				t.Errorf("seed %d: a %s, and family %s is off", seed, f.Kind, f.Kind.Family())
			}
			if f.At+f.Length > p.Safety || i > 0 && f.At < p.Faults[i-1].At {
				t.Errorf("seed %d: fault %d at %d for %d", seed, i, f.At, f.Length)
			}
			here[f.Kind] = true
		}
		for kind := range here {
			planned[kind]++
		}
		acts := func(f Fault) bool { return f.Kind.Family() == "topics" || f.Kind.Family() == "membership" }
		if f := p.Families; f == (Families{Membership: f.Membership}) && !slices.ContainsFunc(p.Faults, func(f Fault) bool { return !acts(f) }) {
			quietSeeds++
		}
	}
	for _, kind := range Kinds {
		least := seeds * 14 / 100
		switch kind {
		case Ring:
			least /= 4 // it takes five nodes
		case LostDisk, JournalRot, LostJournal:
			least = least * 2 / 3 // a cluster has one node to lose, in one of three ways
		case RogueMember:
			least /= 2 // it takes a consumer group
		case CutClient:
			least /= 3 // and the network besides
		}
		if planned[kind] < least {
			t.Errorf("%s is planned in %d of %d seeds", kind, planned[kind], seeds)
		}
	}
	if quietSeeds < seeds/10 {
		t.Errorf("%d of %d seeds have no fault", quietSeeds, seeds)
	}
}

func TestWrittenAndRead(t *testing.T) {
	for seed := range uint64(20) {
		p := Generate(seed)
		q, err := Decode(Encode(p))
		if err != nil || !reflect.DeepEqual(p, q) {
			t.Fatalf("seed %d: %v; it reads as another plan", seed, err)
		}
	}
}

func TestBadPlans(t *testing.T) {
	logged, err := GenerateWorkload("log", 1)
	if err != nil {
		t.Fatal(err)
	}
	good := string(Encode(logged))
	for _, c := range []struct{ old, new, want string }{
		{`"format": 1`, `"format": 7`, "format 7"},
		{`"clients": 5`, `"kind": "sung", "clients": 5`, "sung"},
		{`"copy_bytes"`, `"copy_rate": -1, "copy_bytes"`, "copy_rate -1"},
		{`"nodes": 3`, `"nodes": 0`, "0 nodes"},
		{`"safety_ms": 60000`, `"safety_ms": -1`, "safety_ms -1"},
		{`"seed": 1`, `"seed": "x"`, "seed"},
		{`"faults": [`, `"faults": [{"kind":"drift","strength":0},`, "strength 0"},
		{`"faults": [`, `"faults": [{"kind":"crash-loop","strength":101},`, "strength 101"},
		{`"do": "`, `"do": "sing-`, "sing-"},
		{`{`, `[`, ""},
	} {
		_, err := Decode([]byte(strings.Replace(good, c.old, c.new, 1)))
		if !errors.Is(err, ErrPlan) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q in it", c.new, err, c.want)
		}
	}
}

// No bytes make Decode panic, and what it accepts it writes and reads as the same.
func FuzzDecode(f *testing.F) {
	p := Generate(3)
	p.Operations, p.Faults = p.Operations[:3], p.Faults[:min(len(p.Faults), 5)]
	f.Add(Encode(p))
	f.Add([]byte(`{"format":1,"nodes":3,"faults":[{"kind":"crash","at_ms":5}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := Decode(b)
		if err != nil {
			return
		}
		once := Encode(p)
		q, err := Decode(once)
		if err != nil || !bytes.Equal(once, Encode(q)) {
			t.Fatalf("written again it is another plan, %v:\n%s", err, once)
		}
	})
}
