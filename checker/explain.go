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
	fmt.Fprintf(out, "Verdict: %s. Operations: %d (acknowledged %d, failed %d, of unknown outcome %d). Records: produced %d, read %d.\n",
		r.Verdict, c.Operations, c.Acknowledged, c.Failed, c.Unknown, c.Produced, c.ReadRecords)
	for _, reason := range r.Reasons {
		fmt.Fprintf(out, "   %s\n", reason)
	}
	for i := range r.Partitions {
		p := &r.Partitions[i]
		fmt.Fprintf(out, "%s/%d: rank sweep %s (appends %d, reads %d, pairs %d), porcupine %s (steps %d); end %d.\n",
			p.Topic, p.Partition, p.Sweep, p.Appends, p.Reads, p.Pairs, p.Porcupine, p.Steps, p.End)
	}
}

func explainAnomaly(out io.Writer, h *histories.History, a *Anomaly) {
	where := ""
	if a.Topic != "" {
		where = fmt.Sprintf(" in %s/%d", a.Topic, a.Partition)
	}
	fmt.Fprintf(out, "\n%s%s: %s.\n", a.Name, where, a.Message)
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
	case n.Op == histories.Retention && n.Topic == "":
		return "the broker gives old records up"
	case n.Op == histories.Retention:
		return fmt.Sprintf("the broker gives old records of %s up", n.Topic)
	case n.Op == histories.Assigned:
		return fmt.Sprintf("member %d of group %q begins to read %s/%d at offset %d", n.Member, n.Group, n.Topic, n.Partition, n.Offset)
	case n.Op == histories.Processed:
		return fmt.Sprintf("member %d of group %q is done with %s/%d below offset %d", n.Member, n.Group, n.Topic, n.Partition, n.Offset)
	case n.Op == histories.Revoked:
		return fmt.Sprintf("member %d of group %q gives %s/%d up", n.Member, n.Group, n.Topic, n.Partition)
	case n.Op == histories.Lost:
		return fmt.Sprintf("member %d of group %q has lost %s/%d", n.Member, n.Group, n.Topic, n.Partition)
	case n.Phase == histories.Point:
		return strings.TrimSpace(n.Name + " " + n.Target)
	}
	return strings.TrimSpace(fmt.Sprintf("%v: %s %s", n.Phase, n.Name, n.Target))
}

// describe names an operation in a sentence; nil is the facts of a simulation.
func describe(o *histories.Operation) string {
	if o == nil {
		return "the log itself"
	}
	return fmt.Sprintf("operation %d (process %d: %s)", o.Invoked, o.Process, picture(o))
}

// picture is an operation in a few words, with what it was told.
func picture(o *histories.Operation) string {
	asked := ask(o.Call)
	switch {
	case o.Outcome != histories.Ok && o.Completed == histories.Never:
		return asked + " never answered"
	case o.Outcome == histories.Fail:
		return fmt.Sprintf("%s failed, %v", asked, o.Code)
	case o.Outcome == histories.Info:
		return fmt.Sprintf("%s unknown, %v", asked, o.Code)
	}
	return asked + tell(o.Call, o.Answer)
}

// ask says what a call asks for.
func ask(c *histories.Call) string {
	switch c.Op {
	case histories.Produce:
		return "produce " + span64(len(c.Values), int64(c.Values[0]), int64(c.Values[len(c.Values)-1]))
	case histories.Fetch:
		return fmt.Sprintf("fetch at %d", c.Offset)
	case histories.ListOffsets:
		if c.Spec == api.OffsetSpec_EARLIEST {
			return "list earliest"
		}
		if c.Spec == api.OffsetSpec_AT_TIME {
			return fmt.Sprintf("list at time %d", c.Time)
		}
		return "list latest"
	case histories.DeleteRecords:
		return fmt.Sprintf("delete records before %d", c.Offset)
	case histories.InitProducer:
		return fmt.Sprintf("init producer %d epoch %d", c.Producer, c.Epoch)
	case histories.Commit:
		to := make([]string, 0, len(c.Offsets))
		for _, o := range c.Offsets {
			to = append(to, fmt.Sprintf("%s/%d at %d", o.Topic, o.Partition, o.Offset))
		}
		return fmt.Sprintf("commit by member %d of group %q of %s", c.Member, c.Group, strings.Join(to, ", "))
	case histories.FetchOffset:
		return fmt.Sprintf("ask for the offset of group %q", c.Group)
	}
	return fmt.Sprintf("%v %s", c.Op, c.Topic)
}

// tell says what an answer told.
func tell(c *histories.Call, a *histories.Answer) string {
	switch c.Op {
	case histories.Produce:
		return fmt.Sprintf(" -> offset %d", a.Offset)
	case histories.Fetch:
		if n := len(a.Records); n > 0 {
			return " -> offsets " + span64(n, int64(a.Records[0].Offset), int64(a.Records[n-1].Offset))
		}
		return " -> nothing"
	case histories.ListOffsets:
		if a.Found {
			return fmt.Sprintf(" -> %d with time %d", a.Offset, a.Time)
		}
		return fmt.Sprintf(" -> %d", a.Offset)
	case histories.DeleteRecords:
		return fmt.Sprintf(" -> log start %d", a.LogStart)
	case histories.InitProducer:
		return fmt.Sprintf(" -> %d epoch %d", a.Producer, a.Epoch)
	case histories.FetchOffset:
		return fmt.Sprintf(" -> %d", a.Offset)
	}
	return " -> done"
}

// span64 writes a run of n numbers by its ends.
func span64(n int, first, last int64) string {
	if n == 1 {
		return fmt.Sprint(first)
	}
	return fmt.Sprintf("%d..%d (%d)", first, last, n)
}
