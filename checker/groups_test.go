package checker_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/checker"
	"github.com/reprise-mq/reprise/histories"
)

// reading writes a history of one group that reads one partition.
type reading struct {
	h        histories.History
	recorder *histories.Recorder
	producer histories.Process
	// reader[m] is the process of member m's present spell, at[m] where it stands.
	reader map[uint64]histories.Process
	at     map[uint64]api.Offset
	end    api.Offset
}

const topicOfGroup = "t"

func newReading() *reading {
	r := &reading{reader: map[uint64]histories.Process{}, at: map[uint64]api.Offset{}}
	r.recorder = histories.NewRecorder(r.h.Append)
	r.producer = r.recorder.NewProcess()
	return r
}

// do records an operation from its invocation to its completion.
func (r *reading) do(p histories.Process, c histories.Call, a histories.Answer) {
	r.recorder.Invoke(0, p, c)
	r.recorder.Ok(0, p, a)
}

func (r *reading) produce(n int) {
	call := histories.Call{Op: histories.Produce, Topic: topicOfGroup}
	for i := range n {
		call.Values = append(call.Values, histories.Value(r.end)+histories.Value(i)+100)
	}
	r.do(r.producer, call, histories.Answer{Offset: r.end})
	r.end += api.Offset(n)
}

func (r *reading) note(op histories.Op, member uint64, from api.Offset, committed bool) {
	r.recorder.Note(0, histories.Note{Op: op, Group: "g", Member: member, Topic: topicOfGroup, Offset: from, Committed: committed})
}

func (r *reading) assigned(member uint64, from api.Offset, committed bool) {
	r.reader[member], r.at[member] = r.recorder.NewProcess(), from
	r.note(histories.Assigned, member, from, committed)
}

// processed says that a member is done with what it was handed.
func (r *reading) processed(member uint64) { r.note(histories.Processed, member, r.at[member], false) }

func (r *reading) revoked(member uint64) { r.note(histories.Revoked, member, 0, false) }
func (r *reading) lost(member uint64)    { r.note(histories.Lost, member, 0, false) }

// takes hands a member n more records.
func (r *reading) takes(member uint64, n int) {
	call := histories.Call{Op: histories.Fetch, Topic: topicOfGroup, Offset: r.at[member], Continue: true, Group: "g", Member: member}
	answer := histories.Answer{HighWatermark: histories.NoOffset, LogStart: histories.NoOffset}
	for range n {
		answer.Records = append(answer.Records, histories.Record{Offset: r.at[member], Value: histories.Value(r.at[member]) + 100})
		r.at[member]++
	}
	r.do(r.reader[member], call, answer)
}

// takesAndFails is a fetch that fails though it has brought n records, and leaves the member
// where it was.
func (r *reading) takesAndFails(member uint64, n int) {
	at := r.at[member]
	call := histories.Call{Op: histories.Fetch, Topic: topicOfGroup, Offset: at, Group: "g", Member: member}
	partial := histories.Answer{HighWatermark: histories.NoOffset, LogStart: histories.NoOffset}
	for i := range api.Offset(n) {
		partial.Records = append(partial.Records, histories.Record{Offset: at + i, Value: histories.Value(at+i) + 100})
	}
	r.recorder.Invoke(0, r.reader[member], call)
	r.recorder.FailedFetch(0, r.reader[member], api.Code_NOT_LEADER, partial)
}

// jumps sets a member to another offset, in a process of its own.
func (r *reading) jumps(member uint64, to api.Offset) {
	r.reader[member], r.at[member] = r.recorder.NewProcess(), to
}

// deletes deletes the records below an offset.
func (r *reading) deletes(before api.Offset) {
	r.do(r.producer, histories.Call{Op: histories.DeleteRecords, Topic: topicOfGroup, Offset: before}, histories.Answer{LogStart: before})
}

// triesToDelete is a delete whose fate nobody knows.
func (r *reading) triesToDelete(before api.Offset) {
	p := r.recorder.NewProcess()
	r.recorder.Invoke(0, p, histories.Call{Op: histories.DeleteRecords, Topic: topicOfGroup, Offset: before})
	r.recorder.Info(0, p, api.Code_TIMED_OUT)
}

func (r *reading) commitCall(member uint64, offset api.Offset) histories.Call {
	return histories.Call{Op: histories.Commit, Group: "g", Member: member, Offsets: []histories.GroupOffset{{Topic: topicOfGroup, Offset: offset}}}
}

func (r *reading) commits(member uint64, offset api.Offset) {
	r.do(r.recorder.NewProcess(), r.commitCall(member, offset), histories.Answer{})
}

// tries is a commit whose fate nobody knows, refused one that did not happen.
func (r *reading) tries(member uint64, offset api.Offset) {
	p := r.recorder.NewProcess()
	r.recorder.Invoke(0, p, r.commitCall(member, offset))
	r.recorder.Info(0, p, api.Code_TIMED_OUT)
}

func (r *reading) refused(member uint64, offset api.Offset) {
	p := r.recorder.NewProcess()
	r.recorder.Invoke(0, p, r.commitCall(member, offset))
	r.recorder.Fail(0, p, api.Code_MEMBER_FENCED)
}

func (r *reading) asks(found api.Offset) {
	r.do(r.recorder.NewProcess(), histories.Call{Op: histories.FetchOffset, Group: "g", Topic: topicOfGroup}, histories.Answer{Offset: found})
}

func (r *reading) names() []checker.Name {
	report := checker.Check(&r.h, nil, checker.Options{})
	names := []checker.Name{}
	for _, a := range report.Anomalies {
		names = append(names, a.Name)
	}
	return slices.Compact(names)
}

// groupRuns are what a group may do, and the names of what is wrong with it.
var groupRuns = map[string]struct {
	run  func(*reading)
	want []checker.Name
}{
	"a fetch that fails after some records": {func(r *reading) {
		r.assigned(1, 0, false)
		r.takesAndFails(1, 2)
		r.takes(1, 4)
		r.commits(1, 4)
		r.revoked(1)
	}, nil},
	"one hands over to the next": {func(r *reading) {
		r.assigned(1, 0, false)
		r.takes(1, 4)
		r.commits(1, 4)
		r.revoked(1)
		r.asks(4)
		r.assigned(2, 4, true)
		r.takes(2, 2)
		r.commits(2, 6)
		r.asks(6)
	}, nil},
	"an expired member reads on, and its commit is refused": {func(r *reading) {
		r.assigned(1, 0, false)
		r.takes(1, 2)
		r.assigned(2, 0, false)
		r.takes(1, 2)
		r.refused(1, 4)
		r.lost(1)
		r.takes(2, 4)
		r.commits(2, 4)
		r.asks(4)
	}, nil},
	"a commit of unknown fate is seen, or not": {func(r *reading) {
		r.assigned(1, 0, false)
		r.takes(1, 4)
		r.tries(1, 2)
		r.asks(histories.NoOffset)
		r.tries(1, 4)
		r.asks(4)
	}, nil},
	"two read at once, and both end in order": {func(r *reading) {
		r.assigned(1, 0, false)
		r.takes(1, 2)
		r.assigned(2, 0, false)
		r.revoked(1)
		r.takes(2, 2)
	}, []checker.Name{checker.TwoOwners}},
	"two read at once, and never end": {func(r *reading) {
		r.assigned(1, 0, false)
		r.assigned(2, 0, false)
		for range 3 {
			r.takes(1, 2)
			r.takes(2, 2)
		}
	}, []checker.Name{checker.TwoOwners}},
	"one that died had read before another begins": {func(r *reading) {
		r.assigned(1, 0, false)
		r.takes(1, 2)
		r.assigned(2, 0, false)
		r.takes(2, 2)
	}, nil},
	"a commit after another has begun": {func(r *reading) {
		r.assigned(1, 0, false)
		r.takes(1, 2)
		r.assigned(2, 0, false)
		r.commits(1, 2)
		r.lost(1)
	}, []checker.Name{checker.ZombieCommit}},
	"a commit of what nobody was handed": {func(r *reading) {
		r.assigned(1, 0, false)
		r.takes(1, 2)
		r.commits(1, 3)
	}, []checker.Name{checker.CommitAhead, checker.Unprocessed}},
	"who fails at work leaves it to the next": {func(r *reading) {
		r.assigned(1, 0, false)
		r.takes(1, 2)
		r.processed(1)
		r.commits(1, 2)
		r.takes(1, 2)
		r.assigned(2, 2, true)
		r.takes(2, 2)
		r.processed(2)
		r.commits(2, 4)
	}, nil},
	"a commit of what is still worked on": {func(r *reading) {
		r.assigned(1, 0, false)
		r.takes(1, 2)
		r.processed(1)
		r.takes(1, 2)
		r.commits(1, 4)
		r.processed(1)
	}, []checker.Name{checker.CommitAhead}},
	"a commit before any work is done": {func(r *reading) {
		r.assigned(1, 0, false)
		r.takes(1, 2)
		r.commits(1, 2)
		r.processed(1)
	}, []checker.Name{checker.CommitAhead}},
	"what was worked on when its member failed is left out": {func(r *reading) {
		r.assigned(1, 0, false)
		r.takes(1, 2)
		r.processed(1)
		r.takes(1, 2)
		r.tries(1, 2)
		r.lost(1)
		r.assigned(2, 4, false)
		r.takes(2, 2)
		r.processed(2)
		r.commits(2, 6)
	}, []checker.Name{checker.Unprocessed}},
	"work that ends when the partition is lost counts for nothing": {func(r *reading) {
		r.assigned(1, 0, false)
		r.takes(1, 2)
		r.lost(1)
		r.processed(1)
		r.assigned(2, 2, false)
		r.takes(2, 2)
		r.processed(2)
		r.commits(2, 4)
	}, []checker.Name{checker.Unprocessed}},
	"a commit that is forgotten": {func(r *reading) {
		r.assigned(1, 0, false)
		r.takes(1, 4)
		r.commits(1, 2)
		r.commits(1, 4)
		r.asks(2)
	}, []checker.Name{checker.CommitRegress}},
	"a commit of less is taken, and sets nothing back": {func(r *reading) {
		r.assigned(1, 0, false)
		r.takes(1, 4)
		r.commits(1, 4)
		r.commits(1, 2)
		r.asks(4)
	}, nil},
	"a commit of less sets the group back": {func(r *reading) {
		r.assigned(1, 0, false)
		r.takes(1, 4)
		r.commits(1, 4)
		r.commits(1, 2)
		r.asks(2)
	}, []checker.Name{checker.CommitRegress}},
	"a read that goes back behind another": {func(r *reading) {
		r.assigned(1, 0, false)
		r.takes(1, 4)
		r.tries(1, 4)
		r.asks(4)
		r.asks(histories.NoOffset)
	}, []checker.Name{checker.CommitRegress}},
	"an offset that nobody committed": {func(r *reading) {
		r.assigned(1, 0, false)
		r.takes(1, 4)
		r.refused(1, 3)
		r.commits(1, 2)
		r.asks(3)
	}, []checker.Name{checker.CommitPhantom}},
	"the next begins behind the commit": {func(r *reading) {
		r.assigned(1, 0, false)
		r.takes(1, 4)
		r.commits(1, 4)
		r.revoked(1)
		r.assigned(2, 2, false)
		r.takes(2, 2)
	}, []checker.Name{checker.StartBehind}},
	"the next begins beyond the commit": {func(r *reading) {
		r.assigned(1, 0, false)
		r.takes(1, 2)
		r.commits(1, 2)
		r.revoked(1)
		r.assigned(2, 4, false)
		r.takes(2, 2)
		r.commits(2, 6)
	}, []checker.Name{checker.StartAhead, checker.Unprocessed}},
	"who comes after one that died begins where that had committed": {func(r *reading) {
		r.assigned(1, 0, false)
		r.takes(1, 4)
		r.commits(1, 4)
		r.assigned(2, 4, true)
		r.takes(2, 2)
	}, nil},
	"what one that died had committed is forgotten": {func(r *reading) {
		r.assigned(1, 0, false)
		r.takes(1, 4)
		r.commits(1, 4)
		r.assigned(2, 0, false)
		r.takes(2, 4)
	}, []checker.Name{checker.StartBehind}},
	"the next begins beyond the commit, which is trimmed": {func(r *reading) {
		r.assigned(1, 0, false)
		r.takes(1, 2)
		r.commits(1, 2)
		r.revoked(1)
		r.deletes(4)
		r.assigned(2, 4, false)
		r.takes(2, 2)
	}, nil},
	"the next begins beyond the commit, and nobody commits again": {func(r *reading) {
		r.assigned(1, 0, false)
		r.takes(1, 2)
		r.commits(1, 2)
		r.revoked(1)
		r.assigned(2, 4, false)
		r.takes(2, 2)
	}, []checker.Name{checker.StartAhead}},
	"a commit of unknown fate that one began at is gone": {func(r *reading) {
		r.assigned(1, 0, false)
		r.takes(1, 4)
		r.tries(1, 4)
		r.lost(1)
		r.assigned(2, 4, true)
		r.revoked(2)
		r.assigned(3, 0, false)
	}, []checker.Name{checker.StartBehind}},
	"a commit of unknown fate that one began at, and the next": {func(r *reading) {
		r.assigned(1, 0, false)
		r.takes(1, 4)
		r.tries(1, 4)
		r.lost(1)
		r.assigned(2, 4, true)
		r.revoked(2)
		r.assigned(3, 4, true)
	}, nil},
	"records twice": {func(r *reading) {
		r.assigned(1, 0, false)
		r.takes(1, 4)
		r.jumps(1, 2)
		r.takes(1, 2)
	}, []checker.Name{checker.NonmonotonicPoll}},
	"records left out": {func(r *reading) {
		r.assigned(1, 0, false)
		r.takes(1, 2)
		r.jumps(1, 4)
		r.takes(1, 2)
	}, []checker.Name{checker.PollSkip}},
	"records left out that were deleted": {func(r *reading) {
		r.assigned(1, 0, false)
		r.takes(1, 2)
		r.deletes(4)
		r.jumps(1, 4)
		r.takes(1, 2)
	}, nil},
	"records are left out that a delete of unknown fate may have deleted": {func(r *reading) {
		r.triesToDelete(2)
		r.assigned(1, 0, false)
		r.jumps(1, 2)
		r.takes(1, 2)
		r.commits(1, 4)
	}, nil},
	"records are left out, and all may be deleted": {func(r *reading) {
		r.triesToDelete(-1)
		r.assigned(1, 0, false)
		r.jumps(1, 2)
		r.takes(1, 2)
		r.commits(1, 4)
	}, nil},
	"a record is left out beyond what a delete of unknown fate asked for": {func(r *reading) {
		r.triesToDelete(2)
		r.assigned(1, 0, false)
		r.jumps(1, 3)
		r.takes(1, 2)
		r.commits(1, 5)
	}, []checker.Name{checker.PollSkip, checker.Unprocessed}},
	"the first records are not those where it began": {func(r *reading) {
		r.assigned(1, 1, false)
		r.jumps(1, 3)
		r.takes(1, 2)
	}, []checker.Name{checker.PollSkip}},
	"the next begins where nobody committed": {func(r *reading) {
		r.assigned(1, 0, false)
		r.takes(1, 2)
		r.revoked(1)
		r.assigned(2, 2, true)
	}, []checker.Name{checker.CommitPhantom}},
	"records for who has given up": {func(r *reading) {
		r.assigned(1, 0, false)
		r.takes(1, 2)
		r.revoked(1)
		r.takes(1, 2)
	}, []checker.Name{checker.NotOwner}},
}

// Each way in which a group may go wrong has its name, and no other; and what looks like
// it, but is as it should be, has none.
func TestGroups(t *testing.T) {
	for name, test := range groupRuns {
		t.Run(name, func(t *testing.T) {
			r := newReading()
			r.produce(6)
			test.run(r)
			if got := r.names(); !slices.Equal(got, test.want) {
				t.Errorf("found %v, want %v", got, test.want)
			}
		})
	}
}

// A group that keeps to the rules is never blamed: members take turns, stop in order,
// are expired and read on a little, or die.
func TestGroupsThatKeepToTheRules(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := newReading()
		r.produce(30)
		committed, member := histories.NoOffset, uint64(0)
		tells := rapid.Bool().Draw(t, "members tell when they are done")
		for range rapid.IntRange(1, 6).Draw(t, "spells") {
			former := member
			member++
			r.assigned(member, max(committed, 0), committed != histories.NoOffset)
			if former != 0 && rapid.Bool().Draw(t, "the former reads on") && r.at[former] >= 0 {
				if r.at[former] < r.end {
					r.takes(former, 1)
				}
				if tells {
					r.processed(former)
				}
				r.refused(former, r.at[former])
				r.lost(former)
			}
			for range rapid.IntRange(0, 3).Draw(t, "polls") {
				if left := int(r.end - r.at[member]); left > 0 {
					r.takes(member, rapid.IntRange(1, min(left, 4)).Draw(t, "records"))
				}
				if tells {
					r.processed(member)
				}
				switch rapid.IntRange(0, 2).Draw(t, "then") {
				case 0:
					r.commits(member, r.at[member])
					committed = r.at[member]
				case 1:
					r.asks(committed)
				}
			}
			if rapid.Bool().Draw(t, "ends in order") {
				r.revoked(member)
				r.at[member] = -1
			}
		}
		if got := r.names(); len(got) > 0 {
			t.Fatalf("found %v", got)
		}
	})
}

// What a delete of unknown fate may have deleted is unjudged, and that is weak.
func TestUnjudgedRecordsOfGroup(t *testing.T) {
	r := newReading()
	r.produce(6)
	groupRuns["records are left out, and all may be deleted"].run(r)
	report := checker.Check(&r.h, nil, checker.Options{})
	if report.Verdict != checker.Weak || report.Groups[0].Unjudged != 2 {
		t.Errorf("%v, %d unjudged, want weak and 2", report.Verdict, report.Groups[0].Unjudged)
	}
}
