package workloads_test

import (
	"encoding/json"
	"reflect"
	"testing"

	"github.com/reprise-mq/reprise/histories"
	"github.com/reprise-mq/reprise/workloads"
)

func TestGenerate(t *testing.T) {
	c := workloads.Standard
	ops := workloads.Generate(7, c)
	if len(ops) != c.Clients*c.Ops {
		t.Fatalf("%d operations", len(ops))
	}
	if !reflect.DeepEqual(ops, workloads.Generate(7, c)) {
		t.Error("the same seed gives other operations")
	}
	if reflect.DeepEqual(ops, workloads.Generate(8, c)) {
		t.Error("another seed gives the same operations")
	}
	values := map[histories.Value]bool{}
	actions := map[workloads.Action]int{}
	numbers := map[int]int{}
	for i := range ops {
		o := &ops[i]
		actions[o.Action]++
		if i > 0 && o.At < ops[i-1].At || o.At < 0 || o.At > c.Length {
			t.Errorf("operation %d at %d", i, o.At)
		}
		if o.Number != numbers[o.Client] {
			t.Errorf("client %d does %d after %d", o.Client, o.Number, numbers[o.Client])
		}
		numbers[o.Client]++
		switch o.Action {
		case workloads.Produce, workloads.ProducePlain, workloads.ProduceNone:
			if o.Count < 1 || o.Count > workloads.MaxRecords || o.Size < histories.MinPayload {
				t.Errorf("%+v", o)
			}
			for j := range o.Count {
				if v := o.Value(j); values[v] {
					t.Errorf("value %d twice", v)
				} else {
					values[v] = true
				}
			}
		}
	}
	t.Log(actions)
	if len(actions) != 15 {
		t.Errorf("%d kinds of actions: %v", len(actions), actions)
	}
}

// More clients and more operations leave those that were there as they were.
func TestGrowth(t *testing.T) {
	c := workloads.Standard
	before := map[[2]int]workloads.Op{}
	for _, o := range workloads.Generate(3, c) {
		before[[2]int{o.Client, o.Number}] = o
	}
	c.Ops *= 2
	c.Length *= 2
	same := 0
	for _, o := range workloads.Generate(3, c) {
		if b, ok := before[[2]int{o.Client, o.Number}]; ok {
			if b != o {
				t.Fatalf("%+v became %+v", b, o)
			}
			same++
		}
	}
	if same != len(before) {
		t.Errorf("%d of %d operations are left", same, len(before))
	}
}

func TestJSON(t *testing.T) {
	ops := workloads.Generate(5, workloads.Standard)
	data, err := json.Marshal(ops)
	if err != nil {
		t.Fatal(err)
	}
	var back []workloads.Op
	if err := json.Unmarshal(data, &back); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(ops, back) {
		t.Error("operations do not survive JSON")
	}
}
