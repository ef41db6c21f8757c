package group

import (
	"fmt"
	"testing"
	"time"

	"github.com/reprise-mq/reprise/broker/api"
)

// large is a coordinator whose commands are timed: while one is applied, its node does
// nothing else.
type large struct {
	*testing.T
	*State
	longest, sum time.Duration
}

// do applies a command that has to be taken.
func (l *large) do(command []byte) Outcome {
	l.Helper()
	begun := time.Now()
	out := l.Apply(command)
	took := time.Since(begun)
	l.longest, l.sum = max(l.longest, took), l.sum+took
	if out.Code != api.Code_OK {
		l.Fatalf("answered %+v", out)
	}
	return out
}

// report logs what has been timed since the last report. Other things run on the machine,
// so only what hangs fails.
func (l *large) report(what string) {
	l.Helper()
	l.Logf("%s: %v in all, %v the longest", what, l.sum.Round(time.Millisecond), l.longest.Round(time.Microsecond))
	if l.longest > 10*time.Second {
		l.Errorf("%s: a command took %v", what, l.longest)
	}
	l.longest, l.sum = 0, 0
}

func (l *large) join(token string, id MemberID, assignor Assignor, topics []string) Outcome {
	return l.do(EncodeJoin(tag, now, name, Join{Member: id, Token: token, Session: 10_000, Rebalance: 60_000, Assignor: assignor, Topics: topics}))
}

// catalogueOf is so many topics of so many partitions, and their names.
func catalogueOf(topics, partitions int) (Catalogue, []string) {
	c, names := Catalogue{Version: 1}, []string(nil)
	for n := range topics {
		names = append(names, fmt.Sprintf("topic-%04d", n))
		c.Topics = append(c.Topics, Topic{names[n], api.TopicID(n + 1), int32(partitions)})
	}
	return c, names
}

// Members that want the same, up to the bounds of a group.
func TestLargeGroups(t *testing.T) {
	for _, size := range []struct{ members, topics, partitions int }{{MaxMembers, 1, 10_000}, {300, 100, MaxPartitions / 100}} {
		l := &large{T: t, State: New(1 << 20)}
		c, names := catalogueOf(size.topics, size.partitions)
		l.join("first", 0, Sticky, names)
		l.do(EncodeTopics(tag, now, name, c))
		l.report(fmt.Sprintf("one member has %d topics of %d partitions", size.topics, size.partitions))
		for n := range size.members - 1 {
			l.join(fmt.Sprint(n), 0, Sticky, names)
		}
		l.do(EncodeTopics(tag, now, name, c))
		l.report(fmt.Sprintf("%d more join at once", size.members-1))
		for id := range MemberID(size.members) {
			if v, there := l.View(name, id+1); there && len(v.Gives) > 0 {
				l.do(EncodeSync(tag, now, name, id+1, v.Epoch, v.Gives))
			}
		}
		l.report("they give up")
		for id := range MemberID(size.members / 10) {
			l.do(EncodeLeave(tag, now, name, id+1))
		}
		l.do(EncodeTopics(tag, now, name, c))
		l.report("a tenth leaves")
	}
}

// Members that each want another half of the topics, and change their assignor.
func TestLargeGroupOfManyMinds(t *testing.T) {
	const members, topics, partitions = 400, 400, 100
	l := &large{T: t, State: New(1 << 20)}
	c, names := catalogueOf(topics, partitions)
	half := func(n int) (some []string) {
		for at, name := range names {
			if (n*7919+at*104_729)%1009%2 == 0 {
				some = append(some, name)
			}
		}
		return some
	}
	for n := range members {
		l.join(fmt.Sprint(n), 0, Range, half(n))
	}
	l.report("members of many minds join")
	l.do(EncodeTopics(tag, now, name, c))
	l.report("they are told of the topics")
	l.join("", 1, Sticky, half(0))
	l.do(EncodeTopics(tag, now, name, c))
	l.report("from range to sticky")
}
