package checker

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/histories"
)

// Verdict is what a run came to.
type Verdict string

// Verdicts, from the best to the worst.
const (
	// Pass: everything was judged, enough happened, and nothing was wrong.
	Pass Verdict = "pass"
	// Weak: nothing was wrong, but too little happened or was judged.
	Weak Verdict = "weak"
	// Unknown: a judge ran out of its budget before it found an answer.
	Unknown Verdict = "unknown"
	// Fail: something was wrong; see the anomalies.
	Fail Verdict = "fail"
)

// Name is the name of an anomaly.
type Name string

// Anomalies. Those that jepsen.tests.kafka knows have its name.
const (
	// InconsistentOffsets: two values were seen at one offset.
	InconsistentOffsets Name = "inconsistent-offsets"
	// Duplicate: one value was seen at two offsets.
	Duplicate Name = "duplicate"
	// LostWrite: an acknowledged value is not in the log, or was never read
	// although records after it were.
	LostWrite Name = "lost-write"
	// Unseen: an acknowledged value is missing from the final read.
	Unseen Name = "unseen"
	// G1a: a value was read whose produce had failed.
	G1a Name = "G1a"
	// DefiniteError: an operation answered "did not happen" is in the log, or ended
	// so by a code that does not say so.
	DefiniteError Name = "definite-error-violation"
	// Phantom: a value that nobody wrote to this partition.
	Phantom Name = "phantom"
	// Corrupted: a record's payload failed its checksum.
	Corrupted Name = "corrupted-payload"
	// IntPollSkip: a fetch left out offsets between two of its records.
	IntPollSkip Name = "int-poll-skip"
	// IntNonmonotonicPoll: a fetch's records are not in order.
	IntNonmonotonicPoll Name = "int-nonmonotonic-poll"
	// PollSkip: a fetch began beyond where its process, or the member of a group that
	// it was handed to, stood, or beyond what was asked for.
	PollSkip Name = "poll-skip"
	// NonmonotonicPoll: a fetch began before where its process, or the member of a
	// group, stood, or before what was asked for.
	NonmonotonicPoll Name = "nonmonotonic-poll"
	// IntSendSkip: the values of one batch do not stand at consecutive offsets.
	IntSendSkip Name = "int-send-skip"
	// IntNonmonotonicSend: the values of one batch are not in order.
	IntNonmonotonicSend Name = "int-nonmonotonic-send"
	// NonmonotonicSend: a process's or a producer's later batch stands before its
	// earlier one.
	NonmonotonicSend Name = "nonmonotonic-send"
	// Unfenced: a producer's batch stands behind one of its newer epoch.
	Unfenced Name = "unfenced-producer"
	// BrokenSequence: batches that stand in the log leave a gap in the sequence of
	// their producer's epoch that no other batch can fill, or two have one sequence.
	BrokenSequence Name = "broken-sequence"
	// DuplicateProducer: a producer id was given out twice in one epoch.
	DuplicateProducer Name = "duplicate-producer"
	// EndOffsetRegress: list offsets told an end below one known before.
	EndOffsetRegress Name = "end-offset-regress"
	// LogStartRegress: a log start below one known before.
	LogStartRegress Name = "log-start-regress"
	// UnexplainedLogStart: a log start that no delete records asked for.
	UnexplainedLogStart Name = "unexplained-log-start"
	// LostDelete: delete records was acknowledged, and the log starts below what it asked
	// for.
	LostDelete Name = "lost-delete"
	// LostTopic: a partition is unknown that was there before, and nobody deleted its topic.
	LostTopic Name = "lost-topic"
	// UncommittedRead: a fetch returned records from its own high watermark on.
	UncommittedRead Name = "uncommitted-read"
	// StaleRead: a fetch was told that there is nothing, where there was a record
	// before it was invoked.
	StaleRead Name = "stale-read"
	// WrongTimeOffset: an offset that was found for a time stamp is not that of the
	// first record that is not before it.
	WrongTimeOffset Name = "wrong-time-offset"
	// TwoOwners: a member of a consumer group read a partition that it gave up in order
	// only after another had begun to, or never.
	TwoOwners Name = "two-owners"
	// NotOwner: a member was handed records of a partition that it did not have.
	NotOwner Name = "not-owner"
	// ZombieCommit: a commit was taken from a member after another had begun to read the
	// partition.
	ZombieCommit Name = "zombie-commit"
	// CommitAhead: a member committed more than the group was done with.
	CommitAhead Name = "commit-ahead"
	// CommitRegress: less is committed than was known before.
	CommitRegress Name = "commit-regress"
	// CommitPhantom: an offset is committed that nobody committed.
	CommitPhantom Name = "commit-phantom"
	// StartBehind: a member began below what was committed before it.
	StartBehind Name = "start-behind-commit"
	// StartAhead: a member passed over what its group had committed, and began beyond it.
	StartAhead Name = "start-ahead-of-commit"
	// Unprocessed: no member was handed a record below what its group has committed, and
	// done with it.
	Unprocessed Name = "unprocessed"
	// Nonlinearizable: no order of the operations explains what they saw, in a way
	// that has no name of its own.
	Nonlinearizable Name = "nonlinearizable"
	// JudgesDisagree: the rank sweep and porcupine came to different answers: the
	// checker itself is wrong.
	JudgesDisagree Name = "judges-disagree"
	// MalformedHistory: the history breaks the rules of the format, or a workload
	// sent one value twice.
	MalformedHistory Name = "malformed-history"
)

// Anomaly is one thing that is wrong.
type Anomaly struct {
	Name      Name          `json:"name"`
	Topic     string        `json:"topic,omitempty"`
	Partition api.Partition `json:"partition"`
	// Message says in plain words what was seen and why it cannot be.
	Message string `json:"message"`
	// Offset and Value that it is about; -1 where it is about none.
	Offset api.Offset      `json:"offset"`
	Value  histories.Value `json:"value"`
	// Witness is the operations that prove it, by the index of their invocation,
	// ascending.
	Witness []histories.Index `json:"witness"`
	// More is how many others of this name the partition has.
	More int `json:"more,omitempty"`
}

// Counts is what a history holds.
type Counts struct {
	Events     int `json:"events"`
	Operations int `json:"operations"`
	// Acknowledged is the operations that ended ok, Failed and Unknown the others.
	Acknowledged int `json:"acknowledged"`
	Failed       int `json:"failed"`
	Unknown      int `json:"unknown"`
	// Produced, ReadRecords: values acknowledged, and records that fetches returned.
	Produced    int `json:"produced"`
	ReadRecords int `json:"read_records"`
}

// Judgement is what one judge found of a partition.
type Judgement string

// Judgements.
const (
	Linearizable Judgement = "linearizable"
	Illegal      Judgement = "illegal"
	// OutOfBudget: the search was given up.
	OutOfBudget Judgement = "unknown"
	// NotJudged: the contents contradict themselves, so there is no order to judge.
	NotJudged Judgement = "not judged"
)

// PartitionReport is what each judge was given of a partition, and found.
type PartitionReport struct {
	Topic     string        `json:"topic"`
	Partition api.Partition `json:"partition"`
	// Appends and Reads are the operations that the judges ordered.
	Appends int `json:"appends"`
	Reads   int `json:"reads"`
	// Pairs is the number of pairs whose order the sweep checked.
	Pairs int64 `json:"pairs"`
	// End is the highest end of the log that anybody saw.
	End api.Offset `json:"end"`
	// Filled is the offsets that nobody saw and unknown produces were put in.
	Filled int `json:"filled"`
	// StartReads is the operations that told a log start.
	StartReads int `json:"start_reads"`
	// Unjudged is the acknowledged values that were trimmed before anyone read
	// them, where no facts tell either.
	Unjudged int `json:"unjudged"`
	// Unread is the acknowledged values that nobody ever read.
	Unread int `json:"unread"`
	// late is those of them that were acknowledged after the final read, and stand behind it.
	late int
	// Ambiguous is the OUT_OF_RANGE answers that may have been of either end.
	Ambiguous int `json:"ambiguous"`
	// FinalRead: the final read went through from the log start to the end.
	FinalRead bool      `json:"final_read"`
	Sweep     Judgement `json:"sweep"`
	Porcupine Judgement `json:"porcupine"`
	// Raw: porcupine searched with the intervals as they were, not tightened.
	Raw bool `json:"raw"`
	// Windows is how many stretches of the log it searched so where it could not
	// search the whole.
	Windows int `json:"windows"`
	// Steps is the length of its searches.
	Steps int `json:"steps"`
}

// GroupReport is what was judged of a consumer group in a partition.
type GroupReport struct {
	Group     string        `json:"group"`
	Topic     string        `json:"topic"`
	Partition api.Partition `json:"partition"`
	Commits   int           `json:"commits"`
	Reads     int           `json:"reads"`
	// Spells is how often a member began to read the partition, Handed how many records
	// members were handed.
	Spells int `json:"spells"`
	Handed int `json:"handed"`
	// Unjudged is the records below what is committed that nobody is known to have been
	// done with, and that a delete records of unknown outcome may have deleted.
	Unjudged int `json:"unjudged,omitempty"`
}

// Report is the verdict on a history, with its reasons.
type Report struct {
	Verdict Verdict `json:"verdict"`
	// Reasons say why a run without anomalies is weak or unknown.
	Reasons    []string          `json:"reasons,omitempty"`
	Anomalies  []Anomaly         `json:"anomalies,omitempty"`
	Counts     Counts            `json:"counts"`
	Partitions []PartitionReport `json:"partitions"`
	Groups     []GroupReport     `json:"groups,omitempty"`
}

// mostOfAName bounds the anomalies of one name that a partition reports; the
// others are counted.
const mostOfAName = 3

// findings gathers anomalies.
type findings struct {
	list []Anomaly
	// last[k] is the position of the latest of a name in a partition, count[k]
	// their number.
	last  map[findingKey]int
	count map[findingKey]int
}

type findingKey struct {
	name Name
	key  Key
}

func newFindings() *findings {
	return &findings{last: make(map[findingKey]int), count: make(map[findingKey]int)}
}

// add takes an anomaly of a partition; it sorts the witness.
func (f *findings) add(key Key, a Anomaly) {
	k := findingKey{a.Name, key}
	f.count[k]++
	if f.count[k] > mostOfAName {
		f.list[f.last[k]].More++
		return
	}
	a.Topic, a.Partition = key.Topic, key.Partition
	slices.Sort(a.Witness)
	a.Witness = slices.Compact(a.Witness)
	f.last[k] = len(f.list)
	f.list = append(f.list, a)
}

// sorted gives the anomalies by partition, name and witness.
func (f *findings) sorted() []Anomaly {
	slices.SortStableFunc(f.list, func(a, b Anomaly) int {
		return cmp.Or(
			cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition),
			cmp.Compare(a.Name, b.Name), slices.Compare(a.Witness, b.Witness),
			cmp.Compare(a.Offset, b.Offset), cmp.Compare(a.Message, b.Message))
	})
	return f.list
}

// Key names a partition.
type Key struct {
	Topic     string
	Partition api.Partition
}

// String gives topic/partition.
func (k Key) String() string { return fmt.Sprintf("%s/%d", k.Topic, k.Partition) }

func (k Key) compare(l Key) int {
	return cmp.Or(cmp.Compare(k.Topic, l.Topic), cmp.Compare(k.Partition, l.Partition))
}
