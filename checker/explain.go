package checker

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/histories"
)

// mostBiographies bounds the anomalies whose record's biography is told.
const mostBiographies = 3

// Explain writes a report in plain words: the verdict, each anomaly with the
// events that prove it, the biography of the records concerned, and the faults and
// changes of leader in order.
func Explain(w io.Writer, h *histories.History, r *Report) error {
	out := bufio.NewWriter(w)
	explainVerdict(out, r)
	told := 0
	for i := range r.Anomalies {
		a := &r.Anomalies[i]
		explainAnomaly(out, h, a)
		if (a.Offset >= 0 || a.Value >= 0) && told < mostBiographies {
			told++
			fmt.Fprintf(out, "   Biography of %s:\n", recordName(a.Offset, a.Value))
			for _, line := range Biography(h, Key{a.Topic, a.Partition}, a.Offset, a.Value) {
				fmt.Fprintf(out, "     %s\n", line)
			}
		}
	}
	explainNotes(out, h)
	return out.Flush()
}

func explainVerdict(out io.Writer, r *Report) {
	c := r.Counts
	fmt.Fprintf(out, "Verdict: %s. %d operations: %d acknowledged, %d failed, %d of unknown outcome; %d records produced, %d read.\n",
		r.Verdict, c.Operations, c.Acknowledged, c.Failed, c.Unknown, c.Produced, c.ReadRecords)
	for _, reason := range r.Reasons {
		fmt.Fprintf(out, "   %s\n", reason)
	}
	for i := range r.Partitions {
		p := &r.Partitions[i]
		fmt.Fprintf(out, "%s/%d: rank sweep: %s (%d appends, %d reads, %d pairs); porcupine: %s (%d steps). End %d.\n",
			p.Topic, p.Partition, p.Sweep, p.Appends, p.Reads, p.Pairs, p.Porcupine, p.Steps, p.End)
	}
}

func explainAnomaly(out io.Writer, h *histories.History, a *Anomaly) {
	fmt.Fprintf(out, "\n%s in %s/%d: %s.\n", a.Name, a.Topic, a.Partition, a.Message)
	if a.More > 0 {
		fmt.Fprintf(out, "   (and %d more of this name in this partition)\n", a.More)
	}
	for _, i := range a.Witness {
		for _, line := range eventsOf(h, i) {
			fmt.Fprintf(out, "   %s\n", line)
		}
	}
}

func explainNotes(out io.Writer, h *histories.History) {
	notes := h.Notes()
	if len(notes) == 0 {
		return
	}
	fmt.Fprintln(out, "\nFaults and changes of leader:")
	for i := range notes {
		fmt.Fprintf(out, "   %s\n", line(&notes[i]))
	}
}

func recordName(offset api.Offset, value histories.Value) string {
	switch {
	case value < 0:
		return fmt.Sprintf("offset %d", offset)
	case offset < 0:
		return fmt.Sprintf("value %d", value)
	}
	return fmt.Sprintf("value %d at offset %d", value, offset)
}

// eventsOf gives the lines of the operation that was invoked at an index.
func eventsOf(h *histories.History, invoked histories.Index) []string {
	if invoked < 0 || int(invoked) >= len(h.Events) {
		return nil
	}
	first := &h.Events[invoked]
	lines := []string{line(first)}
	for i := invoked + 1; int(i) < len(h.Events); i++ {
		if e := &h.Events[i]; e.Process == first.Process {
			return append(lines, line(e))
		}
	}
	return append(lines, "           never answered")
}

// line writes an event for people.
func line(e *histories.Event) string {
	const second = 1_000_000_000
	head := fmt.Sprintf("%8d  %4d.%06d s", e.Index, e.Time/second, e.Time%second/1000)
	if e.Kind == histories.Noted {
		return fmt.Sprintf("%s  %s", head, note(e.Note))
	}
	head = fmt.Sprintf("%s  process %d %v", head, e.Process, e.Kind)
	switch {
	case e.Kind == histories.Invoke && e.Call.Topic != "":
		return fmt.Sprintf("%s: %s (%s/%d)", head, ask(e.Call), e.Call.Topic, e.Call.Partition)
	case e.Kind == histories.Invoke:
		return fmt.Sprintf("%s: %s", head, ask(e.Call))
	case e.Kind == histories.Ok:
		return fmt.Sprintf("%s: %v%s", head, e.Op, tell(&histories.Call{Op: e.Op}, e.Answer))
	}
	return fmt.Sprintf("%s: %v, %v", head, e.Op, e.Code)
}

// note says what no client saw.
func note(n *histories.Note) string {
	switch {
	case n.Op == histories.Leader && n.Topic == "":
		return fmt.Sprintf("node %d leads meta in term %d", n.Node, n.Term)
	case n.Op == histories.Leader:
		return fmt.Sprintf("node %d leads %s/%d in term %d", n.Node, n.Topic, n.Partition, n.Term)
	case n.Phase == histories.Point:
		return strings.TrimSpace(n.Name + " " + n.Target)
	}
	return strings.TrimSpace(fmt.Sprintf("%v: %s %s", n.Phase, n.Name, n.Target))
}

// Biography gives, in order, every event that touched a record: its produce, the
// reads of its value or of its offset, reads that were told the log ends before
// it, deletions up to it, and between them the changes of leader of its partition.
// Offset or value may be -1 for unknown; the other must be known.
func Biography(h *histories.History, key Key, offset api.Offset, value histories.Value) []string {
	b := biography{key: key, offset: offset, value: value, calls: make(map[histories.Process]*histories.Call)}
	if offset < 0 {
		b.offset = findOffset(h, key, value)
	}
	var lines []string
	for i := range h.Events {
		if e := &h.Events[i]; b.touches(e) {
			lines = append(lines, line(e))
		}
	}
	return lines
}

// findOffset gives where a value was seen first.
func findOffset(h *histories.History, key Key, value histories.Value) api.Offset {
	operations, err := h.Operations()
	if err != nil {
		return histories.NoOffset
	}
	for i := range operations {
		o := &operations[i]
		if o.Answer == nil || (Key{o.Call.Topic, o.Call.Partition}) != key {
			continue
		}
		for k, v := range o.Call.Values {
			if v == value {
				return o.Answer.Offset + api.Offset(k)
			}
		}
		for _, r := range o.Answer.Records {
			if r.Value == value {
				return r.Offset
			}
		}
	}
	return histories.NoOffset
}

// biography goes through the events of a history in order.
type biography struct {
	key    Key
	offset api.Offset
	value  histories.Value
	calls  map[histories.Process]*histories.Call
}

// touches says whether an event belongs to the record's life.
func (b *biography) touches(e *histories.Event) bool {
	if e.Kind == histories.Noted {
		return e.Op == histories.Leader && (Key{e.Note.Topic, e.Note.Partition}) == b.key
	}
	if e.Kind == histories.Invoke {
		b.calls[e.Process] = e.Call
	}
	call := b.calls[e.Process]
	if call == nil || (Key{call.Topic, call.Partition}) != b.key {
		return false
	}
	switch call.Op {
	case histories.Produce:
		return b.sent(call) || e.Answer != nil && b.within(e.Answer.Offset, len(call.Values))
	case histories.DeleteRecords:
		return b.offset >= 0 && (call.Offset < 0 || call.Offset > b.offset)
	case histories.Fetch:
		if e.Kind == histories.Invoke || e.Answer == nil && e.Kind == histories.Ok {
			return false
		}
		return b.read(call, e)
	}
	return e.Kind == histories.Ok && b.offset >= 0 && b.hides(call, e.Answer)
}

func (b *biography) sent(call *histories.Call) bool {
	for _, v := range call.Values {
		if v == b.value {
			return true
		}
	}
	return false
}

func (b *biography) within(base api.Offset, n int) bool {
	return b.offset >= base && b.offset < base+api.Offset(n)
}

// read: a fetch was given the offset or the value, or was told that there is
// nothing at the offset or before it.
func (b *biography) read(call *histories.Call, e *histories.Event) bool {
	if e.Answer != nil {
		for _, r := range e.Answer.Records {
			if r.Value == b.value || r.Offset == b.offset {
				return true
			}
		}
	}
	nothing := e.Kind == histories.Ok && len(e.Answer.Records) == 0 && call.Offset <= b.offset
	return nothing || e.Code == api.Code_OFFSET_OUT_OF_RANGE && call.Offset == b.offset
}

// hides: list offsets told that the log ends before the offset, or begins after it.
func (b *biography) hides(call *histories.Call, a *histories.Answer) bool {
	switch {
	case call.Op != histories.ListOffsets:
		return false
	case call.Spec == api.OffsetSpec_EARLIEST:
		return a.Offset > b.offset
	}
	return a.Offset <= b.offset
}
