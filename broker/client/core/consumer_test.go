package core_test

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/client/core"
	"github.com/reprise-mq/reprise/broker/client/core/coretest"
	"github.com/reprise-mq/reprise/broker/env"
)

// reader is a consumer in a scene, and all that it was told.
type reader struct {
	*core.Consumer
	scene *scene
	// story has a word for each event, in order.
	story []string
	// release of the last revocation that was not released; held keeps it.
	release func()
	held    bool
	polls   int
	last    []core.ConsumedRecord
	err     *api.Error
}

func withGroups(t *testing.T) *scene {
	s := newScene(t, core.Config{})
	s.world.CreateTopic(api.GroupsTopic, 4)
	return s
}

func (s *scene) subscribe(options core.ConsumerOptions) *reader {
	s.Helper()
	if options.Group == "" {
		options.Group = "g"
	}
	if options.Topics == nil && options.Pattern == nil {
		options.Topics = []string{"t"}
	}
	r := &reader{scene: s}
	k, err := s.client.Subscribe(options, core.ConsumerEvents{
		Assigned: func(list []core.AssignedPartition) {
			for _, p := range list {
				r.tell("assigned %s/%d@%d", p.Topic, p.Partition, p.Offset)
			}
		},
		Revoked: func(list []core.TopicPartition, release func()) {
			r.tellAll("revoked", list)
			if r.release = release; !r.held {
				release()
			}
		},
		Lost: func(list []core.TopicPartition) { r.tellAll("lost", list) },
	})
	if err != nil {
		s.Fatal(err)
	}
	r.Consumer = k
	return r
}

func (r *reader) tell(format string, args ...any) {
	r.story = append(r.story, fmt.Sprintf(format, args...))
}

func (r *reader) tellAll(what string, list []core.TopicPartition) {
	for _, p := range list {
		r.tell("%s %s/%d", what, p.Topic, p.Partition)
	}
}

// poll polls, and lets the wait pass.
func (r *reader) poll(max int, wait env.Time) string {
	r.scene.Helper()
	polls := r.polls
	r.begin(max, wait)
	r.scene.run(wait + env.Millisecond)
	if r.polls != polls+1 {
		r.scene.Fatalf("%d polls ended, want 1", r.polls-polls)
	}
	return values(r.last)
}

func (r *reader) begin(max int, wait env.Time) {
	r.Poll(max, wait, func(records []core.ConsumedRecord, err *api.Error) {
		r.polls++
		r.last, r.err = records, err
	})
}

func values(records []core.ConsumedRecord) string {
	var all []string
	for _, r := range records {
		all = append(all, string(r.Value))
	}
	return strings.Join(all, " ")
}

// expectStory compares what was told since the last call, in any order where the network
// decides on it.
func (r *reader) expectStory(want ...string) {
	r.scene.Helper()
	got := slices.Sorted(slices.Values(r.story))
	if slices.Sort(want); !slices.Equal(got, want) {
		r.scene.Errorf("told %q, want %q", r.story, want)
	}
	r.story = nil
}

// fill produces so many records into partition 0 of t: a, b, c and so on.
func (s *scene) fill(n int) {
	s.Helper()
	for i := range n {
		s.expect(s.produce(core.Idempotent, string(rune('a'+i))), api.Code_OK, true)
	}
}

func (s *scene) committed(p api.Partition) int64 {
	at, there := s.world.Group("g").Offsets[coretest.Key{Topic: s.world.Topic("t").ID, Partition: p}]
	if !there {
		return -1
	}
	return at
}

func TestConsumerReadsAndCommits(t *testing.T) {
	s := withGroups(t)
	s.fill(3)
	r := s.subscribe(core.ConsumerOptions{AutoCommit: env.Second})
	if got := r.poll(2, env.Second); got != "a b" {
		t.Errorf("polled %q, error %v", got, r.err)
	}
	r.expectStory("assigned t/0@0", "assigned t/1@0", "assigned t/2@0")
	// What was handed out is processed only when the next poll says so.
	if s.run(3 * env.Second); s.committed(0) != 0 {
		t.Errorf("committed %d before the poll", s.committed(0))
	}
	if got := r.poll(10, env.Second); got != "c" {
		t.Errorf("polled %q", got)
	}
	if s.run(3 * env.Second); s.committed(0) != 2 {
		t.Errorf("committed %d, want 2", s.committed(0))
	}
	var closed []*api.Error
	r.Close(func(err *api.Error) { closed = append(closed, err) })
	s.run(env.Second)
	if len(closed) != 1 || closed[0] != nil || s.committed(0) != 3 || len(s.world.Group("g").Members) != 0 {
		t.Errorf("closed %v, committed %d, %d members", closed, s.committed(0), len(s.world.Group("g").Members))
	}
	r.expectStory("revoked t/0", "revoked t/1", "revoked t/2")
	if r.poll(1, 0); r.err.GetCode() != api.Code_SHUTTING_DOWN {
		t.Errorf("a poll after the close: %v", r.err)
	}
	// Another goes on where it ended.
	s.fill(1)
	next := s.subscribe(core.ConsumerOptions{})
	if got := next.poll(10, env.Second); got != "a" {
		t.Errorf("the next one polled %q", got)
	}
	next.expectStory("assigned t/0@3", "assigned t/1@0", "assigned t/2@0")
}

// Who has joined does not wait for its next beat to hear what it is given.
func TestConsumerIsSoonGivenSomething(t *testing.T) {
	s := withGroups(t)
	r := s.subscribe(core.ConsumerOptions{Session: 60 * env.Second})
	s.run(200 * env.Millisecond)
	r.expectStory("assigned t/0@0", "assigned t/1@0", "assigned t/2@0")
}

// A partition goes to another member only at a poll, after a commit.
func TestConsumerGivesUpAtPoll(t *testing.T) {
	s := withGroups(t)
	s.fill(3)
	a := s.subscribe(core.ConsumerOptions{AutoCommit: 60 * env.Second})
	if got := a.poll(2, env.Second); got != "a b" {
		t.Fatalf("polled %q", got)
	}
	a.story = nil
	b := s.subscribe(core.ConsumerOptions{AutoCommit: 60 * env.Second})
	b.begin(10, 100*env.Second)
	s.run(10 * env.Second)
	if s.world.Group("g").Owners[coretest.Key{Topic: s.world.Topic("t").ID, Partition: 0}].Member != a.Member() {
		t.Fatal("partition 0 went away while records of it were being processed")
	}
	a.expectStory()
	from := len(s.requests)
	a.begin(10, 20*env.Second)
	s.run(20 * env.Second)
	kinds := order(s.requests[from:])
	if commit, beat := strings.Index(kinds, "C"), strings.Index(kinds, "G"); commit < 0 || beat < commit {
		t.Errorf("requests %s: want a commit (C) before the beat that gives (G)", kinds)
	}
	if len(a.story) == 0 || !strings.HasPrefix(a.story[0], "revoked") {
		t.Errorf("told %q", a.story)
	}
	for _, told := range b.story {
		if told == "assigned t/0@0" {
			t.Errorf("the second begins before what was committed: %q", b.story)
		}
	}
}

// order names requests: C a commit, G a beat that gives, B another beat, J a join.
func order(requests []*api.Request) string {
	all := ""
	for _, q := range requests {
		switch {
		case q.GetCommitOffsets() != nil:
			all += "C"
		case len(q.GetBeat().GetGiven()) > 0:
			all += "G"
		case q.GetBeat() != nil:
			all += "B"
		case q.GetJoinGroup() != nil:
			all += "J"
		case q.GetLeaveGroup() != nil:
			all += "L"
		}
	}
	return all
}

// For ever is a time to wait, too: a consumer that need never be polled, say.
func TestConsumerOfEndlessTimes(t *testing.T) {
	s := withGroups(t)
	s.fill(3)
	r := s.subscribe(core.ConsumerOptions{
		Session: math.MaxInt64, Rebalance: math.MaxInt64, PollInterval: math.MaxInt64,
		AutoCommit: math.MaxInt64, FetchWait: math.MaxInt64, Refresh: math.MaxInt64,
	})
	for _, want := range []string{"a", "b", "c", ""} {
		if got := r.poll(1, env.Second); got != want || r.err != nil {
			t.Errorf("polled %q, error %v; want %q", got, r.err, want)
		}
		s.run(env.Second)
	}
	r.expectStory("assigned t/0@0", "assigned t/1@0", "assigned t/2@0")
	if s.committed(0) >= 0 {
		t.Errorf("committed %d before the time", s.committed(0))
	}
}

// Without automatic commits the member may commit while it is told of the revocation.
func TestConsumerCommitsWhileRevoked(t *testing.T) {
	s := withGroups(t)
	s.fill(2)
	r := s.subscribe(core.ConsumerOptions{})
	r.held = true
	if got := r.poll(10, env.Second); got != "a b" {
		t.Fatalf("polled %q", got)
	}
	other := s.subscribe(core.ConsumerOptions{})
	s.run(5 * env.Second)
	r.begin(10, env.Second)
	s.run(2 * env.Second)
	if r.release == nil {
		// The other was given partitions 1 or 2 only; make the turn come.
		s.world.Group("g").Rebalance()
		s.run(5 * env.Second)
		r.begin(10, env.Second)
		s.run(2 * env.Second)
	}
	var result []*api.Error
	r.Commit(func(err *api.Error) { result = append(result, err) })
	s.run(env.Second)
	if len(result) != 1 || result[0] != nil || s.committed(0) != 2 {
		t.Errorf("commit while revoked: %v, committed %d", result, s.committed(0))
	}
	r.release()
	s.run(5 * env.Second)
	if len(other.story) == 0 {
		t.Error("nothing went to the other member")
	}
}

// Who hears nothing gives everything up by its own clock, before the coordinator does.
func TestConsumerLeaseEnds(t *testing.T) {
	s := withGroups(t)
	s.fill(3)
	r := s.subscribe(core.ConsumerOptions{})
	if got := r.poll(1, env.Second); got != "a" {
		t.Fatalf("polled %q", got)
	}
	r.story = nil
	s.script(func(_ api.NodeID, q *api.Request) (*api.Response, bool) {
		return nil, q.GetBeat() != nil || q.GetJoinGroup() != nil
	})
	member := r.Member()
	s.run(8 * env.Second)
	if r.expectStory(); r.Member() != member {
		t.Error("lost too early")
	}
	s.run(4 * env.Second)
	r.expectStory("lost t/0", "lost t/1", "lost t/2")
	if got := r.poll(10, env.Second); got != "" || r.Member() != 0 {
		t.Errorf("polled %q without a lease, member %d", got, r.Member())
	}
	s.script(func(api.NodeID, *api.Request) (*api.Response, bool) { return nil, false })
	// Nothing was committed, so all comes again.
	if got := r.poll(10, 20*env.Second); got != "a b c" {
		t.Errorf("polled %q after it joined anew", got)
	}
}

func TestConsumerExpired(t *testing.T) {
	s := withGroups(t)
	s.fill(1)
	r := s.subscribe(core.ConsumerOptions{})
	r.poll(1, env.Second)
	r.story = nil
	old := r.Member()
	s.world.Group("g").Expire(old)
	s.run(5 * env.Second)
	if r.Member() == old || r.Member() == 0 {
		t.Errorf("member %d, was %d", r.Member(), old)
	}
	r.expectStory("lost t/0", "lost t/1", "lost t/2", "assigned t/0@0", "assigned t/1@0", "assigned t/2@0")
}

func TestConsumerCommitFenced(t *testing.T) {
	s := withGroups(t)
	s.fill(2)
	r := s.subscribe(core.ConsumerOptions{})
	r.poll(10, env.Second)
	r.begin(10, 0)
	s.script(first(func(q *api.Request) bool { return q.GetCommitOffsets() != nil }, failed(api.Code_MEMBER_FENCED)))
	commit := func() (result *api.Error) {
		from := len(s.requests)
		r.Commit(func(err *api.Error) { result = err })
		s.run(env.Second)
		if result.GetCode() == api.Code_MEMBER_FENCED && order(s.requests[from:]) != "CB" {
			t.Errorf("requests %s after a fenced commit, want a beat", order(s.requests[from:]))
		}
		return result
	}
	if err := commit(); err.GetCode() != api.Code_MEMBER_FENCED || s.committed(0) != -1 {
		t.Errorf("commit answered %v, committed %d", err, s.committed(0))
	}
	if err := commit(); err != nil || s.committed(0) != 2 {
		t.Errorf("commit answered %v, committed %d", err, s.committed(0))
	}
}

func TestConsumerCommitsPositions(t *testing.T) {
	s := withGroups(t)
	s.fill(3)
	r := s.subscribe(core.ConsumerOptions{})
	r.poll(2, env.Second)
	commit := func(offset api.Offset) (result *api.Error) {
		at := core.CommitPosition{TopicPartition: r.last[0].TopicPartition, Offset: offset}
		r.CommitOffsets([]core.CommitPosition{at}, func(err *api.Error) { result = err })
		s.run(env.Second)
		return result
	}
	if err := commit(3); err.GetCode() != api.Code_INVALID_REQUEST {
		t.Errorf("commit ahead of what was handed out: %v", err)
	}
	if err := commit(1); err != nil || s.committed(0) != 1 {
		t.Errorf("commit: %v, committed %d", err, s.committed(0))
	}
	r.last[0].Partition = 7
	if err := commit(1); err.GetCode() != api.Code_MEMBER_FENCED {
		t.Errorf("commit of another's partition: %v", err)
	}
}

func TestConsumerFollowsCoordinator(t *testing.T) {
	s := withGroups(t)
	s.fill(1)
	r := s.subscribe(core.ConsumerOptions{})
	r.poll(1, env.Second)
	r.story = nil
	member := r.Member()
	for i := range 9 {
		for _, p := range s.world.Topic(api.GroupsTopic).Partitions {
			p.Lead(api.NodeID(1 + i%3))
		}
		s.run(4 * env.Second)
	}
	if r.expectStory(); r.Member() != member {
		t.Error("the member was lost when its coordinator moved")
	}
}

func TestConsumerRepeatsItsToken(t *testing.T) {
	s := withGroups(t)
	lost := 0
	s.script(func(id api.NodeID, q *api.Request) (*api.Response, bool) {
		if q.GetJoinGroup() != nil && lost < 4 {
			lost++
			s.world.Answer(id, q)
			return nil, true
		}
		return nil, false
	})
	r := s.subscribe(core.ConsumerOptions{})
	s.run(20 * env.Second)
	var tokens [][]byte
	for _, q := range s.requests {
		if q.GetJoinGroup() != nil {
			tokens = append(tokens, q.GetJoinGroup().Token)
		}
	}
	for _, token := range tokens {
		if len(token) < 16 || !bytes.Equal(token, tokens[0]) {
			t.Errorf("tokens %x", tokens)
		}
	}
	if members := s.world.Group("g").Members; len(members) != 1 || members[0].ID != r.Member() || lost != 4 {
		t.Errorf("%d members, %d lost", len(members), lost)
	}
}
