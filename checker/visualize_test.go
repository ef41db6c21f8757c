package checker_test

import (
	"bytes"
	"testing"

	"github.com/reprise-mq/reprise/checker"
	"github.com/reprise-mq/reprise/histories"
)

// The picture of a long history shows the operations of the witness, and the
// faults and leaders of that time as lanes of their own.
func TestVisualize(t *testing.T) {
	h, _ := generate(3, shape{clients: 6, steps: 4000, partitions: 2, batch: 2, unknown: 3, most: 5, final: true})
	last := h.Events[len(h.Events)-1]
	note := func(n histories.Note) {
		last.Index++
		h.Append(histories.Event{Index: last.Index, Time: last.Time, Process: histories.Nemesis, Kind: histories.Noted, Op: n.Op, Note: &n})
	}
	note(histories.Note{Op: histories.Fault, Name: "cut", Target: "node 1 - node 2", Phase: histories.Begin})
	note(histories.Note{Op: histories.Leader, Topic: topicName, Term: 9, Node: 2})
	note(histories.Note{Op: histories.Leader, Topic: "another", Term: 7, Node: 3})
	m := mutator{h: h}
	if !m.tell(histories.Call{Op: histories.ListOffsets}, histories.Answer{Offset: 50}) {
		t.Fatal("cannot go stale")
	}
	last = h.Events[len(h.Events)-1]
	note(histories.Note{Op: histories.Fault, Name: "cut", Target: "node 1 - node 2", Phase: histories.End})

	r := checker.Check(h, nil, checker.Options{})
	if r.Verdict != checker.Fail || r.Anomalies[0].Name != checker.EndOffsetRegress {
		t.Fatalf("%v %+v", r.Verdict, r.Anomalies)
	}
	var page bytes.Buffer
	if err := checker.Visualize(&page, h, checker.Key{Topic: topicName}, &r); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"list latest -\\u003e 50", `"Tag":"faults"`, "cut node 1 - node 2", `"Tag":"leaders"`, "node 2 leads t/0 in term 9",
	} {
		if !bytes.Contains(page.Bytes(), []byte(want)) {
			t.Errorf("the page does not have %s", want)
		}
	}
	if bytes.Contains(page.Bytes(), []byte("node 3 leads another")) {
		t.Error("the page has the leader of another topic")
	}
	if n := bytes.Count(page.Bytes(), []byte(`"OriginalStart"`)); n < 100 || n > 400 {
		t.Errorf("the page has %d operations", n)
	}
	if err := checker.Visualize(&page, h, checker.Key{Topic: "none"}, &r); err == nil {
		t.Error("a partition that is not there was drawn")
	}
}
