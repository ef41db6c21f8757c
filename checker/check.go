// Package checker gives verdicts on histories: from what clients saw alone, or
// with a simulation's facts about the logs beside it. It never imports a node and
// never runs one.
//
// A partition is judged in this order, and what one step finds broken is not
// handed to the next:
//
//  1. Contents. Every offset that anyone saw holds one value, and every value has
//     one offset. With that, offsets are the order of the log.
//  2. Holes. An offset below the end that nobody saw is given to a produce of
//     unknown outcome; too few of them is illegal. A simulation's facts say
//     instead what stood there.
//  3. The rank sweep. An operation says where the end of the log was while it was
//     under way: an append of the record at offset o moved it from o to o+1, a
//     read was told bounds of it. On the line of ranks, 2e is "the end is e" and
//     2o+1 is "the record at o is appended", so each operation has an interval of
//     ranks; the partition is linearizable if and only if no operation whose
//     interval lies above another's had returned before that other was invoked.
//     Two sorts and a running maximum find it, and name the two.
//  4. porcupine searches for an order of the same operations: of a small partition
//     as they were, of a large one with the intervals tightened by rank, in pieces
//     between which nothing is under way, and of some windows of it as they were. The
//     two judges must agree.
//  5. The log start is a second register that only grows, swept the same way.
//  6. Of a consumer group: one owner at a time, who begins where the group stands and
//     is handed what follows, commits by owners alone, a committed offset that only
//     grows and is never ahead of the work, and every record below it handed to
//     somebody who was done with it.
//
// Beside these, anomalies by the names of jepsen.tests.kafka, each with its
// witness: duplicate, lost-write, unseen, G1a, and so on (see the constants).
//
// Time is the index of an event, never a clock's reading. The same history always
// gives the same report, byte for byte.
package checker

import (
	"fmt"
	"slices"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/histories"
)

// Check judges a history. Facts are nil where no simulation knows them.
func Check(h *histories.History, facts *Facts, options Options) Report {
	report := Report{Partitions: []PartitionReport{}}
	run, err := prepare(h, facts, options)
	if err != nil {
		report.Verdict = Fail
		report.Anomalies = []Anomaly{{Name: MalformedHistory, Message: err.Error(), Offset: -1, Value: -1}}
		return report
	}
	report.Counts = run.counts(len(h.Events))
	for _, p := range run.partitions {
		p.judge()
		report.Partitions = append(report.Partitions, p.report)
	}
	for _, p := range run.groups {
		p.judge()
		report.Groups = append(report.Groups, p.summary())
	}
	for i := range run.operations {
		run.checkError(&run.operations[i])
	}
	run.checkProducerIDs()
	run.checkTopics()
	report.Anomalies = run.findings.sorted()
	report.Verdict, report.Reasons = conclude(&report, options)
	return report
}

// conclude weighs what was found.
func conclude(r *Report, options Options) (Verdict, []string) {
	var unknown []string
	for _, p := range r.Partitions {
		if p.Sweep == OutOfBudget || p.Porcupine == OutOfBudget {
			unknown = append(unknown, fmt.Sprintf("%v: a judge ran out of its budget", Key{p.Topic, p.Partition}))
		}
	}
	weak := options.Thresholds.shortfalls(r, options.Run)
	switch {
	case len(r.Anomalies) > 0:
		return Fail, nil
	case len(unknown) > 0:
		return Unknown, append(unknown, weak...)
	case len(weak) > 0:
		return Weak, weak
	}
	return Pass, nil
}

// run is a history made ready: its operations by partition.
type run struct {
	operations []histories.Operation
	partitions []*partition
	groups     []*progress
	findings   *findings
}

// origin is where a value comes from.
type origin struct {
	partition *partition
	// send and position say which produce of the partition, and which of its values.
	send, position int
}

// prepare pairs the events and sorts the operations by partition.
func prepare(h *histories.History, facts *Facts, options Options) (*run, error) {
	operations, err := h.Operations()
	if err != nil {
		return nil, err
	}
	r := &run{operations: operations, findings: newFindings()}
	origins := make(map[histories.Value]origin, len(operations))
	byKey := make(map[Key]*partition)
	retained := retainedTopics(h)
	at := func(key Key) *partition {
		if byKey[key] == nil {
			byKey[key] = &partition{
				key: key, origins: origins, findings: r.findings,
				retention: options.Retention || retained[""] || retained[key.Topic],
				report:    PartitionReport{Topic: key.Topic, Partition: key.Partition},
			}
			r.partitions = append(r.partitions, byKey[key])
		}
		return byKey[key]
	}
	if err := r.checkIncarnations(); err != nil {
		return nil, err
	}
	for i := range operations {
		o := &operations[i]
		if o.Call.Op == histories.Produce && o.Call.Acks == api.Acks_NONE && o.Outcome == histories.Ok {
			o.Outcome, o.Answer = histories.Info, nil // nobody has acknowledged it
		}
		switch o.Call.Op {
		case histories.Produce, histories.Fetch, histories.ListOffsets, histories.DeleteRecords:
			p := at(Key{o.Call.Topic, o.Call.Partition})
			if err := p.take(o); err != nil {
				return nil, err
			}
		}
	}
	if facts != nil {
		for i := range facts.Logs {
			at(Key{facts.Logs[i].Topic, facts.Logs[i].Partition}).log = &facts.Logs[i]
		}
	}
	r.gatherGroups(h, at)
	r.markDeleted()
	for _, p := range r.partitions {
		p.gatherAsked()
	}
	slices.SortFunc(r.partitions, func(a, b *partition) int { return a.key.compare(b.key) })
	return r, nil
}

// checkIncarnations refuses a history in which one name stands for two topics.
func (r *run) checkIncarnations() error {
	deleted := make(map[string]*histories.Operation)
	for i := range r.operations {
		o := &r.operations[i]
		if o.Outcome != histories.Ok {
			continue
		}
		before := deleted[o.Call.Topic]
		switch {
		case o.Call.Op == histories.DeleteTopic && before == nil:
			deleted[o.Call.Topic] = o
		case o.Call.Op == histories.CreateTopic && before != nil && before.Completed < o.Invoked:
			return fmt.Errorf("topic %q is created again by %s after %s: a name stands for one incarnation, so the second must be recorded under another name",
				o.Call.Topic, describe(o), describe(before))
		}
	}
	return nil
}

// retainedTopics are the topics that the history says the broker trims; "" is all.
func retainedTopics(h *histories.History) map[string]bool {
	topics := make(map[string]bool)
	for _, e := range h.Notes() {
		if e.Op == histories.Retention {
			topics[e.Note.Topic] = true
		}
	}
	return topics
}

// markDeleted tells partitions that their topic may be gone at the end.
func (r *run) markDeleted() {
	deleted := make(map[string]bool)
	for i := range r.operations {
		o := &r.operations[i]
		if o.Call.Op == histories.DeleteTopic && o.Outcome != histories.Fail {
			deleted[o.Call.Topic] = true
		}
	}
	for _, p := range r.partitions {
		p.deleted = deleted[p.key.Topic]
	}
}

// counts sums up the history.
func (r *run) counts(events int) Counts {
	c := Counts{Events: events, Operations: len(r.operations)}
	for i := range r.operations {
		o := &r.operations[i]
		switch o.Outcome {
		case histories.Ok:
			c.Acknowledged++
			if o.Call.Op == histories.Produce {
				c.Produced += len(o.Call.Values)
			}
		case histories.Fail:
			c.Failed++
		default:
			c.Unknown++
		}
		if o.Answer != nil {
			c.ReadRecords += len(o.Answer.Records)
		}
	}
	return c
}

// checkError holds a failed operation to the table of errors: what changes
// something may only be called failed by a code that says so.
func (r *run) checkError(o *histories.Operation) {
	if o.Outcome != histories.Fail || o.Code.Definite() {
		return
	}
	switch o.Call.Op {
	case histories.Fetch, histories.ListOffsets, histories.FetchOffset:
		return
	}
	r.findings.add(Key{o.Call.Topic, o.Call.Partition}, Anomaly{
		Name: DefiniteError, Offset: -1, Value: -1, Witness: witness(o),
		Message: fmt.Sprintf("%s ended as failed, but %v does not say that it did not happen", describe(o), o.Code),
	})
}

// checkProducerIDs reports a producer id that was given out twice in one epoch: two
// producers would take each other's records for repeats.
func (r *run) checkProducerIDs() {
	type identity struct {
		producer api.ProducerID
		epoch    api.Epoch
	}
	owners := make(map[identity]*histories.Operation)
	for i := range r.operations {
		o := &r.operations[i]
		if o.Call.Op != histories.InitProducer || o.Outcome != histories.Ok {
			continue
		}
		id := identity{o.Answer.Producer, o.Answer.Epoch}
		if first := owners[id]; first != nil {
			r.findings.add(Key{}, Anomaly{
				Name: DuplicateProducer, Offset: -1, Value: -1, Witness: witness(first, o),
				Message: fmt.Sprintf("%s and %s were given one producer id in one epoch", describe(first), describe(o)),
			})
			continue
		}
		owners[id] = o
	}
}

// checkTopics reports a partition that somebody had seen and that is unknown later, though
// nobody can have deleted its topic: a node says so only when a quorum has confirmed it.
func (r *run) checkTopics() {
	// seen[k] is the first operation that showed a partition; deleted[t] is when a topic may
	// have been deleted at the earliest.
	seen := make(map[Key]*histories.Operation)
	deleted := make(map[string]histories.Index)
	for i := range r.operations {
		o := &r.operations[i]
		key := Key{o.Call.Topic, o.Call.Partition}
		switch o.Call.Op {
		case histories.DeleteTopic:
			if _, before := deleted[key.Topic]; !before && o.Outcome != histories.Fail {
				deleted[key.Topic] = o.Invoked
			}
		case histories.Produce, histories.Fetch, histories.ListOffsets, histories.DeleteRecords:
			if first := seen[key]; o.Outcome == histories.Ok && (first == nil || o.Completed < first.Completed) {
				seen[key] = o
			}
		}
	}
	for i := range r.operations {
		o := &r.operations[i]
		key := Key{o.Call.Topic, o.Call.Partition}
		first, at := seen[key], histories.Never
		if i, ok := deleted[key.Topic]; ok {
			at = i
		}
		if o.Outcome != histories.Fail || o.Code != api.Code_UNKNOWN_TOPIC_OR_PARTITION || first == nil || first.Completed > o.Invoked || at < o.Completed {
			continue
		}
		r.findings.add(key, Anomaly{
			Name: LostTopic, Offset: -1, Value: -1, Witness: witness(first, o),
			Message: fmt.Sprintf("%s, though %s had found the partition and nobody had deleted its topic", describe(o), describe(first)),
		})
	}
}

// partition is what is known of one partition while it is judged.
type partition struct {
	key       Key
	origins   map[histories.Value]origin
	findings  *findings
	retention bool
	// deleted: the topic may be gone at the end, so that its final read may be missing.
	deleted bool
	// log is nil where no facts are known.
	log    *Log
	report PartitionReport

	// Operations in order of invocation.
	sends   []send
	fetches []*histories.Operation
	lists   []*histories.Operation
	deletes []*histories.Operation
	// asked[i] is the highest log start that the first i+1 deletes asked for.
	asked []api.Offset
	// disputed are the ends of the log that the sweep found violations at.
	disputed []api.Offset
	// values is how many values were sent, and so the most that the log can hold.
	values int

	contents
}

// send is one produce.
type send struct {
	*histories.Operation
	// base is the offset of its first value, or histories.NoOffset where that is
	// not known.
	base api.Offset
	// first is the position of its first value among all of the partition.
	first int
}

func (s *send) size() int { return len(s.Call.Values) }

// end is one past the last offset, where the base is known.
func (s *send) end() api.Offset { return s.base + api.Offset(s.size()) }

// take sorts an operation in.
func (p *partition) take(o *histories.Operation) error {
	switch o.Call.Op {
	case histories.Fetch:
		p.fetches = append(p.fetches, o)
	case histories.ListOffsets:
		p.lists = append(p.lists, o)
	case histories.DeleteRecords:
		p.deletes = append(p.deletes, o)
	case histories.Produce:
		for i, v := range o.Call.Values {
			if _, ok := p.origins[v]; ok {
				return fmt.Errorf("value %d is sent twice, the second time by %s", v, describe(o))
			}
			p.origins[v] = origin{p, len(p.sends), i}
		}
		p.sends = append(p.sends, send{Operation: o, base: histories.NoOffset, first: p.values})
		p.values += len(o.Call.Values)
	}
	return nil
}

// judge goes through everything that is asked of a partition.
func (p *partition) judge() {
	p.readContents()
	p.placeSends()
	p.checkPolls()
	p.checkSends()
	p.checkFinalRead()
	p.checkTimes()
	p.judgeOrder()
	p.judgeLogStart()
}

// add reports an anomaly of this partition.
func (p *partition) add(a Anomaly) { p.findings.add(p.key, a) }

// witness gives the indexes that stand for operations; nil ones are left out.
func witness(operations ...*histories.Operation) []histories.Index {
	list := []histories.Index{}
	for _, o := range operations {
		if o != nil {
			list = append(list, o.Invoked)
		}
	}
	return list
}
