package core_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/client/core"
	"github.com/reprise-mq/reprise/broker/client/core/coretest"
	"github.com/reprise-mq/reprise/broker/env"
)

func TestConsumerOutOfRange(t *testing.T) {
	for _, c := range []struct {
		policy core.ResetPolicy
		want   string
		code   api.Code
	}{
		{core.ResetEarliest, "c", api.Code_OK},
		{core.ResetLatest, "", api.Code_OK},
		{core.ResetFail, "", api.Code_OFFSET_OUT_OF_RANGE},
	} {
		s := withGroups(t)
		s.fill(3)
		r := s.subscribe(core.ConsumerOptions{Reset: core.ResetEarliest})
		r.poll(1, env.Second)
		r.poll(0, 0)
		r.Commit(func(*api.Error) {})
		s.run(env.Second)
		r.Close(func(*api.Error) {})
		s.run(env.Second)
		s.await(func(done func(core.Result)) { s.client.DeleteRecords("t", 0, 2, 0, done) })
		for p := range api.Partition(3) { // so that the policy decides on partition 0 only
			key := coretest.Key{Topic: s.world.Topic("t").ID, Partition: p}
			s.world.Group("g").Offsets[key] = 0
		}
		next := s.subscribe(core.ConsumerOptions{Reset: c.policy})
		if got := next.poll(10, 3*env.Second); got != c.want || next.err.GetCode() != c.code {
			t.Errorf("policy %d: polled %q, error %v", c.policy, got, next.err)
		}
	}
}

func TestConsumerTopicDeleted(t *testing.T) {
	s := withGroups(t)
	s.world.CreateTopic("other", 1)
	r := s.subscribe(core.ConsumerOptions{Topics: []string{"t", "other"}})
	r.poll(1, env.Second)
	r.story = nil
	s.world.DeleteTopic("other")
	s.world.CreateTopic("other", 1)
	s.world.Group("g").Rebalance()
	r.begin(1, 8*env.Second)
	s.run(8 * env.Second)
	r.expectStory("revoked other/0", "assigned other/0@0")
}

func TestConsumerPattern(t *testing.T) {
	s := withGroups(t)
	s.world.CreateTopic("logs.a", 1)
	r := s.subscribe(core.ConsumerOptions{Pattern: regexp.MustCompile("^(logs|__)"), Refresh: 5 * env.Second})
	s.run(2 * env.Second)
	r.expectStory("assigned logs.a/0@0")
	s.world.CreateTopic("logs.b", 1)
	s.run(10 * env.Second)
	r.expectStory("assigned logs.b/0@0")
}

// A node that was removed runs on and knows of no topic made since; whoever asks it first
// finds them all the same.
func TestConsumerPatternBesideARemovedNode(t *testing.T) {
	for removed := api.NodeID(1); removed <= 3; removed++ {
		s := withGroups(t)
		live := removed%3 + 1
		s.world.LeadMeta(live)
		for _, name := range []string{api.GroupsTopic, "logs.a"} {
			if s.world.Topic(name) == nil {
				s.world.CreateTopic(name, 1)
			}
			for _, p := range s.world.Topic(name).Partitions {
				p.Lead(live)
			}
		}
		r := s.subscribe(core.ConsumerOptions{Pattern: regexp.MustCompile("^logs"), Refresh: 5 * env.Second})
		s.run(10 * env.Second)
		r.expectStory("assigned logs.a/0@0")
		s.world.Replace(removed, true)
		s.world.CreateTopic("logs.b", 1)
		for range 3 {
			r.poll(10, 10*env.Second)
		}
		r.expectStory("assigned logs.b/0@0")
	}
}

// The committed offsets of many partitions are asked for in parts, and a refusal is told.
func TestConsumerOfManyPartitions(t *testing.T) {
	const many = 1200
	s := withGroups(t)
	s.world.CreateTopic("many", many)
	most := 0
	s.script(func(_ api.NodeID, q *api.Request) (*api.Response, bool) {
		most = max(most, len(q.GetFetchOffsets().GetPartitions()))
		return failed(api.Code_INVALID_REQUEST), q.GetFetchOffsets() != nil && s.world.Now() < 10*env.Second
	})
	r := s.subscribe(core.ConsumerOptions{Topics: []string{"many"}})
	if r.poll(10, 5*env.Second); r.err.GetCode() != api.Code_INVALID_REQUEST {
		t.Errorf("told of %v", r.err)
	}
	s.run(20 * env.Second)
	if len(r.story) != many || most > 500 {
		t.Errorf("%d partitions assigned, %d asked for at once", len(r.story), most)
	}
}

func TestConsumerStatic(t *testing.T) {
	s := withGroups(t)
	r := s.subscribe(core.ConsumerOptions{Instance: "i"})
	s.run(env.Second)
	r.Close(func(*api.Error) {})
	s.run(env.Second)
	if g := s.world.Group("g"); len(g.Members) != 1 || len(g.Owners) != 3 {
		t.Errorf("%d members, %d owned", len(g.Members), len(g.Owners))
	}
	generation := s.world.Group("g").Generation
	again := s.subscribe(core.ConsumerOptions{Instance: "i"})
	s.run(env.Second)
	if again.expectStory("assigned t/0@0", "assigned t/1@0", "assigned t/2@0"); s.world.Group("g").Generation != generation {
		t.Error("partitions were dealt out again")
	}
}

func TestConsumerRefuses(t *testing.T) {
	s := withGroups(t)
	for _, o := range []core.ConsumerOptions{
		{Topics: []string{"t"}}, {Group: "g"}, {Group: "\xff", Topics: []string{"t"}}, {Group: "g", Topics: []string{"\xff"}},
		{Group: strings.Repeat("g", 250), Topics: []string{"t"}},
	} {
		if _, err := s.client.Subscribe(o, core.ConsumerEvents{}); err.GetCode() != api.Code_INVALID_REQUEST {
			t.Errorf("%+v: %v", o, err)
		}
	}
	r := s.subscribe(core.ConsumerOptions{})
	r.begin(1, env.Second)
	r.begin(1, env.Second)
	if s.run(env.Millisecond); r.err.GetCode() != api.Code_INVALID_REQUEST {
		t.Errorf("two polls at once: %v", r.err)
	}
}

// Of two consumers of one instance's name the first is done, and says so; it does not take
// the place back, even if it learns late that it has lost it.
func TestConsumerOfATakenInstanceIsDone(t *testing.T) {
	for _, silent := range []bool{false, true} {
		s := withGroups(t)
		s.fill(2)
		first := s.subscribe(core.ConsumerOptions{Instance: "i"})
		first.poll(1, env.Second)
		if silent {
			for id := range api.NodeID(3) {
				s.world.SetUp(id+1, false)
			}
			s.run(15 * env.Second) // its lease is over
			for id := range api.NodeID(3) {
				s.world.SetUp(id+1, true)
			}
		}
		second := s.subscribe(core.ConsumerOptions{Instance: "i"})
		s.run(30 * env.Second)
		if first.poll(1, env.Second); first.err.GetCode() != api.Code_FENCED_INSTANCE {
			t.Errorf("silent %t: the first is told %v", silent, first.err)
		}
		if first.poll(1, env.Second); first.err.GetCode() != api.Code_FENCED_INSTANCE {
			t.Errorf("silent %t: the second poll of the first is told %v", silent, first.err)
		}
		second.begin(10, 60*env.Second)
		s.run(60 * env.Second)
		if g := s.world.Group("g"); len(g.Members) != 1 || g.Members[0].ID != second.Member() || second.err != nil {
			t.Errorf("silent %t: members %v, and the second is %d and told %v", silent, g.Members, second.Member(), second.err)
		}
		closed := false
		first.Close(func(*api.Error) { closed = true })
		if s.run(env.Second); !closed {
			t.Error("the first does not close")
		}
	}
}

// A consumer is told whether the group has committed where it begins.
func TestConsumerIsToldWhatIsCommitted(t *testing.T) {
	s := withGroups(t)
	s.fill(2)
	first := s.subscribe(core.ConsumerOptions{})
	first.poll(10, env.Second)
	at := core.TopicPartition{Topic: "t", ID: s.world.Topic("t").ID}
	first.CommitOffsets([]core.CommitPosition{{TopicPartition: at, Offset: 1}}, func(*api.Error) {})
	s.run(env.Second)
	first.Close(func(*api.Error) {})
	s.run(env.Second)
	told := make(map[api.Partition]core.AssignedPartition)
	if _, err := s.client.Subscribe(core.ConsumerOptions{Group: "g", Topics: []string{"t"}}, core.ConsumerEvents{
		Assigned: func(list []core.AssignedPartition) {
			for _, p := range list {
				told[p.Partition] = p
			}
		},
	}); err != nil {
		t.Fatal(err)
	}
	s.run(5 * env.Second)
	if p := told[0]; !p.Committed || p.Offset != 1 {
		t.Errorf("told %+v, and offset 1 is committed", p)
	}
	if p, known := told[1]; !known || p.Committed || p.Offset != 0 {
		t.Errorf("told %+v, and nothing is committed", p)
	}
}

// A commit of AutoCommit that is refused for good is told to a poll; one that is fenced is
// not, for the consumer sees to that.
func TestConsumerSaysThatItCannotCommit(t *testing.T) {
	for code, told := range map[api.Code]api.Code{api.Code_GROUPS_FULL: api.Code_GROUPS_FULL, api.Code_MEMBER_FENCED: api.Code_OK} {
		s := withGroups(t)
		s.fill(2)
		r := s.subscribe(core.ConsumerOptions{AutoCommit: env.Second})
		r.poll(1, env.Second)
		s.world.Script = func(_ api.NodeID, q *api.Request) (*api.Response, bool) {
			if q.GetCommitOffsets() == nil {
				return nil, false
			}
			return &api.Response{Error: &api.Error{Code: code}}, true
		}
		r.poll(1, env.Second)
		s.run(3 * env.Second)
		if r.poll(1, env.Second); r.err.GetCode() != told {
			t.Errorf("commits are answered %v, and the poll %v", code, r.err)
		}
	}
}

// A consumer that is not polled gives all up, says so at the next poll, and joins again.
func TestConsumerThatIsNotPolled(t *testing.T) {
	s := withGroups(t)
	s.fill(2)
	r := s.subscribe(core.ConsumerOptions{PollInterval: 20 * env.Second, AutoCommit: env.Second})
	if got := r.poll(1, env.Second); got != "a" {
		t.Fatalf("polled %q", got)
	}
	r.story = nil
	if s.run(18 * env.Second); r.Member() == 0 {
		t.Fatal("it is no member before its time is over")
	}
	s.run(3 * env.Second)
	r.expectStory("lost t/0", "lost t/1", "lost t/2")
	if n := len(s.world.Group("g").Members); n != 0 || r.Member() != 0 {
		t.Errorf("%d members, and it is %d", n, r.Member())
	}
	from := len(s.requests)
	if s.run(100 * env.Second); len(s.requests) != from {
		t.Errorf("it sends %q though nobody polls it", order(s.requests[from:]))
	}
	if r.poll(1, env.Second); r.err.GetCode() != api.Code_POLL_OVERDUE {
		t.Errorf("told %v", r.err)
	}
	// What it was handed was not processed before its partitions went.
	if got := r.poll(10, 5*env.Second); got != "a b" {
		t.Errorf("polled %q, error %v", got, r.err)
	}
	// A poll that waits is one all the time.
	r.begin(10, 60*env.Second)
	if s.run(50 * env.Second); r.Member() == 0 {
		t.Error("it is no member while it is polled")
	}
}

func TestGroupAdministration(t *testing.T) {
	s := withGroups(t)
	for i := range 9 {
		r := s.subscribe(core.ConsumerOptions{Group: fmt.Sprint("g", i), PollInterval: 3600 * env.Second})
		s.run(env.Second)
		if i == 0 {
			r.Close(func(*api.Error) {})
		}
	}
	list := s.await(func(done func(core.Result)) { s.client.ListGroups(0, done) })
	var names []string
	for _, g := range list.Response.GetListGroups().GetGroups() {
		names = append(names, g.Group)
	}
	if want := "g0 g1 g2 g3 g4 g5 g6 g7 g8"; strings.Join(names, " ") != want {
		t.Errorf("groups %q, error %v", names, list.Err)
	}
	at := &api.GroupOffset{Partition: &api.GroupPartition{TopicId: uint64(s.world.Topic("t").ID), Topic: "t"}, Offset: 7}
	reset := func(group string) core.Result {
		return s.await(func(done func(core.Result)) { s.client.ResetOffsets(group, []*api.GroupOffset{at}, 0, done) })
	}
	s.expect(reset("g1"), api.Code_GROUP_NOT_EMPTY, true)
	s.expect(reset("g0"), api.Code_OK, true)
	s.expect(reset(""), api.Code_INVALID_REQUEST, true)
	offsets := s.await(func(done func(core.Result)) { s.client.FetchOffsets("g0", nil, 0, done) })
	if all := offsets.Response.GetFetchOffsets().GetOffsets(); len(all) != 1 || all[0].Offset != 7 {
		t.Errorf("offsets %v", all)
	}
	d := s.await(func(done func(core.Result)) { s.client.DescribeGroup("g1", 0, done) })
	if members := d.Response.GetDescribeGroup().GetMembers(); len(members) != 1 || len(members[0].Keeps) != 3 {
		t.Errorf("members %v", members)
	}
	remove := func(group string) core.Result {
		return s.await(func(done func(core.Result)) { s.client.DeleteGroup(group, 0, done) })
	}
	s.expect(remove("g1"), api.Code_GROUP_NOT_EMPTY, true)
	s.expect(remove("g0"), api.Code_OK, true)
	s.expect(remove("g0"), api.Code_UNKNOWN_GROUP, true)
}
