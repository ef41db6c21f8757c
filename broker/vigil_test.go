package broker

import (
	"testing"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/command"
	groups "github.com/reprise-mq/reprise/broker/group"
)

// rebalance is the time that the members of these tests have to give something up, in ms.
const rebalance = 1000

// owing is a coordinator, as far as it watches: one of two members owes the other a
// partition since time 0.
func owing(t *testing.T) (c *coordinator, member groups.MemberID, apply func([]byte)) {
	c = &coordinator{state: groups.New(1 << 20), watched: map[memberKey]*vigil{}}
	apply = func(data []byte) {
		if out := c.state.Apply(data); out.Code != api.Code_OK {
			t.Fatal(out.Message)
		}
	}
	join := func(token string) {
		apply(groups.EncodeJoin(command.Tag{}, 0, "g", groups.Join{Token: token, Session: 10_000, Rebalance: rebalance, Topics: []string{"t"}}))
	}
	join("a")
	topics := groups.EncodeTopics(command.Tag{}, 0, "g", groups.Catalogue{Version: 1, Topics: []groups.Topic{{Name: "t", ID: 1, Partitions: 2}}})
	apply(topics)
	join("b")
	apply(topics)
	for _, s := range c.state.Sessions("g") {
		if s.Owes {
			member = s.Member
		}
	}
	c.watched[memberKey{"g", member}] = &vigil{}
	c.lookAt(member, 0)
	return c, member, apply
}

// lookAt looks at a member as watch does.
func (c *coordinator) lookAt(member groups.MemberID, now api.Milliseconds) {
	for _, s := range c.state.Sessions("g") {
		if s.Member == member {
			c.watched[memberKey{"g", member}].look(s, now)
		}
	}
}

func TestSlowMemberIsOverdue(t *testing.T) {
	c, member, _ := owing(t)
	if c.lookAt(member, rebalance); c.overdue("g", member) {
		t.Error("overdue when its time is just over")
	}
	if c.lookAt(member, rebalance+1); !c.overdue("g", member) {
		t.Error("not overdue beyond its time")
	}
	if c.lookAt(member, rebalance+2); !c.overdue("g", member) {
		t.Error("not overdue any more, though nothing was given up")
	}
}

// What a member gave up in time may be on its way into the log when its time is over. Once
// it is applied the member is not overdue, whether the coordinator has looked since or not.
func TestGivenUpInTimeIsNotOverdue(t *testing.T) {
	for _, looks := range []bool{false, true} {
		c, member, apply := owing(t)
		c.lookAt(member, rebalance+1)
		view, _ := c.state.View("g", member)
		apply(groups.EncodeSync(command.Tag{}, 0, "g", member, view.Epoch, view.Gives))
		if looks {
			c.lookAt(member, rebalance+2)
		}
		if c.overdue("g", member) {
			t.Errorf("overdue though it has given everything up; looked at since: %t", looks)
		}
		if c.watched[memberKey{"g", member}].doomed {
			t.Errorf("not heard any more; looked at since: %t", looks)
		}
	}
}

// A join that is repeated may come upon the member that it made, and that is to hear nothing
// more. Nobody has taken its place: it may join again. Who was a member and is not that one
// is fenced.
func TestRepeatedJoinIsNotFenced(t *testing.T) {
	c := &coordinator{state: groups.New(1 << 20)}
	out := c.state.Apply(groups.EncodeJoin(command.Tag{}, 0, "g", groups.Join{
		Token: "a", Instance: "i", Session: 10_000, Rebalance: rebalance, Topics: []string{"t"}}))
	member := out.Member.ID
	for id, want := range map[groups.MemberID]api.Code{0: api.Code_UNKNOWN_MEMBER, member: api.Code_UNKNOWN_MEMBER, member + 7: api.Code_FENCED_INSTANCE} {
		told := c.orFenced(asker{group: "g", member: id, instance: "i"}, &api.Response{Error: unheard("g", member)})
		if code := told.GetError().GetCode(); code != want {
			t.Errorf("who was member %d is told %v, want %v", id, code, want)
		}
	}
}
