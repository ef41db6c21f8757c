package histories

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"

	"github.com/reprise-mq/reprise/broker/api"
)

// WriteEDN writes the history as op maps of Jepsen, one a line, so that
// jepsen.tests.kafka can judge it: produce and fetch become one-element
// transactions of :send and :poll, where the key of a partition is an integer (its
// rank among the partitions of the history, by topic and number). A produce of
// several values becomes as many sends in one transaction. Operations that Jepsen
// has no word for keep their own name and values; a note is an :info of :nemesis.
//
//	{:index 0, :time 1000, :type :invoke, :process 3, :f :send, :value [[:send 2 17]]}
//	{:index 1, :time 2500, :type :ok, :process 3, :f :send, :value [[:send 2 [34 17]]]}
//	{:index 2, :time 3000, :type :invoke, :process 4, :f :poll, :value [[:poll]]}
//	{:index 3, :time 3900, :type :ok, :process 4, :f :poll, :value [[:poll {2 [[34 17]]}]]}
//	{:index 5, :time 4000, :type :fail, :process 3, :f :send, :value [[:send 2 19]], :error :NOT_LEADER}
func (h *History) WriteEDN(to io.Writer) error {
	operations, err := h.Operations()
	if err != nil {
		return err
	}
	x := edn{out: bufio.NewWriter(to), keys: ednKeys(operations), calls: make(map[Process]*Call)}
	for i := range h.Events {
		x.event(&h.Events[i])
	}
	return x.out.Flush()
}

type edn struct {
	out  *bufio.Writer
	keys map[partitionKey]int
	// calls[p] is what process p asked for last: op maps repeat it.
	calls map[Process]*Call
}

type partitionKey struct {
	topic     string
	partition api.Partition
}

func (c *Call) key() partitionKey { return partitionKey{c.Topic, c.Partition} }

// ednKeys numbers the partitions that operations name.
func ednKeys(operations []Operation) map[partitionKey]int {
	var all []partitionKey
	for i := range operations {
		switch operations[i].Call.Op {
		case Produce, Fetch, ListOffsets, DeleteRecords:
			all = append(all, operations[i].Call.key())
		}
	}
	slices.SortFunc(all, func(a, b partitionKey) int {
		return cmp.Or(cmp.Compare(a.topic, b.topic), cmp.Compare(a.partition, b.partition))
	})
	keys := make(map[partitionKey]int)
	for i, k := range slices.Compact(all) {
		keys[k] = i
	}
	return keys
}

func (x *edn) event(e *Event) {
	if e.Kind == Noted {
		fmt.Fprintf(x.out, "{:index %d, :time %d, :type :info, :process :nemesis, :f :%v, :value %s}\n",
			e.Index, e.Time, e.Op, ednNote(e.Note))
		return
	}
	if e.Kind == Invoke {
		x.calls[e.Process] = e.Call
	}
	call := x.calls[e.Process]
	fmt.Fprintf(x.out, "{:index %d, :time %d, :type :%v, :process %d, :f :%s, :value %s",
		e.Index, e.Time, e.Kind, e.Process, ednFunction(e.Op), x.value(call, e.Answer))
	if e.Kind == Fail || e.Kind == Info {
		fmt.Fprintf(x.out, ", :error :%v", e.Code)
	}
	fmt.Fprintln(x.out, "}")
}

func ednFunction(op Op) string {
	switch op {
	case Produce:
		return "send"
	case Fetch:
		return "poll"
	}
	return op.String()
}

// value gives an operation's value: what was asked, with what was answered filled
// in.
func (x *edn) value(c *Call, a *Answer) string {
	key := x.keys[c.key()]
	switch c.Op {
	case Produce:
		return ednSends(key, c, a)
	case Fetch:
		return ednPoll(key, a)
	case ListOffsets:
		return ednPair(key, a != nil, func() api.Offset { return a.Offset })
	case DeleteRecords:
		return ednPair(key, a != nil, func() api.Offset { return a.LogStart })
	case InitProducer:
		if a == nil {
			return fmt.Sprintf("[%d %d]", c.Producer, c.Epoch)
		}
		return fmt.Sprintf("[%d %d]", a.Producer, a.Epoch)
	case Commit:
		return ednCommit(c)
	case FetchOffset:
		if a == nil {
			return fmt.Sprintf("{:group %q, :topic %q, :partition %d}", c.Group, c.Topic, c.Partition)
		}
		return fmt.Sprintf("{:group %q, :topic %q, :partition %d, :offset %d}", c.Group, c.Topic, c.Partition, a.Offset)
	}
	return strconv.Quote(c.Topic)
}

func ednSends(key int, c *Call, a *Answer) string {
	b := []byte("[")
	for i, v := range c.Values {
		if i > 0 {
			b = append(b, ' ')
		}
		if a == nil {
			b = fmt.Appendf(b, "[:send %d %d]", key, v)
		} else {
			b = fmt.Appendf(b, "[:send %d [%d %d]]", key, a.Offset+api.Offset(i), v)
		}
	}
	return string(append(b, ']'))
}

func ednPoll(key int, a *Answer) string {
	if a == nil {
		return "[[:poll]]"
	}
	b := fmt.Appendf(nil, "[[:poll {%d [", key)
	for i, r := range a.Records {
		if i > 0 {
			b = append(b, ' ')
		}
		b = fmt.Appendf(b, "[%d %d]", r.Offset, r.Value)
	}
	return string(append(b, "]}]]"...))
}

// ednPair gives a partition and an offset, nil where the answer is not known.
func ednPair(key int, answered bool, offset func() api.Offset) string {
	if !answered {
		return fmt.Sprintf("{%d nil}", key)
	}
	return fmt.Sprintf("{%d %d}", key, offset())
}

func ednCommit(c *Call) string {
	b := fmt.Appendf(nil, "{:group %q, :member %d, :offsets [", c.Group, c.Member)
	for i, o := range c.Offsets {
		if i > 0 {
			b = append(b, ' ')
		}
		b = fmt.Appendf(b, "[%q %d %d]", o.Topic, o.Partition, o.Offset)
	}
	return string(append(b, "]}"...))
}

func ednNote(n *Note) string {
	switch n.Op {
	case Assigned:
		return fmt.Sprintf("{:group %q, :member %d, :topic %q, :partition %d, :offset %d, :committed %t}",
			n.Group, n.Member, n.Topic, n.Partition, n.Offset, n.Committed)
	case Processed:
		return fmt.Sprintf("{:group %q, :member %d, :topic %q, :partition %d, :offset %d}", n.Group, n.Member, n.Topic, n.Partition, n.Offset)
	case Revoked, Lost:
		return fmt.Sprintf("{:group %q, :member %d, :topic %q, :partition %d}", n.Group, n.Member, n.Topic, n.Partition)
	case Retention:
		return fmt.Sprintf("{:topic %q}", n.Topic)
	case Leader:
		return fmt.Sprintf("{:topic %q, :partition %d, :term %d, :node %d}", n.Topic, n.Partition, n.Term, n.Node)
	}
	return fmt.Sprintf("{:name %q, :target %q, :phase :%v}", n.Name, n.Target, n.Phase)
}
