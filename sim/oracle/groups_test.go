package oracle_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/env"
	groups "github.com/reprise-mq/reprise/broker/group"
	"github.com/reprise-mq/reprise/sim/oracle"
)

// tell sends a request to every node, of which one will carry it out.
func (l *lab) tell(q *api.Request) {
	for _, name := range names {
		one := proto.Clone(q).(*api.Request)
		l.hosts[name].Do(func(p env.Process) { p.Receive("client", &api.Message{Body: &api.Message_Request{Request: one}}) })
	}
	l.run(5 * env.Millisecond)
}

// shard gives a node's replica of the consumer groups' only shard.
func (l *lab) shard(name env.Endpoint) (state []byte, place oracle.Place, id api.GroupID) {
	for _, v := range l.nodes[name].Inspect() {
		if groups.IsState(v.State) {
			return v.State, oracle.Place{Host: name, Folder: v.Folder}, v.Group
		}
	}
	l.t.Fatalf("%s has no shard", name)
	return nil, oracle.Place{}, 0
}

// A shard of the consumer groups is replayed as any log is: its segments begin alike on
// all nodes, with the state that their entries amount to, and so after restarts.
func TestShardIsReplayed(t *testing.T) {
	l := newLab(t, 9)
	l.tell(&api.Request{Body: &api.Request_CreateTopic{CreateTopic: &api.CreateTopicRequest{Name: api.GroupsTopic, Partitions: 1}}})
	l.run(2 * env.Second)
	for i := range 400 {
		group := fmt.Sprintf("g%d", i%3)
		l.tell(&api.Request{Body: &api.Request_JoinGroup{JoinGroup: &api.JoinGroupRequest{
			Shard: &api.TopicRef{Name: api.GroupsTopic}, Group: group, Token: []byte(strings.Repeat("t", 1+i%5)),
			SessionMs: 60_000, RebalanceMs: 60_000, Topics: []string{"t"},
		}}})
		if i%100 == 50 {
			l.restart(names[i/100%3], env.Second)
			l.run(2 * env.Second)
		}
	}
	l.run(2 * env.Second)
	var places []oracle.Place
	first, _, id := l.shard(names[0])
	for _, name := range names {
		l.look(name)
		state, place, _ := l.shard(name)
		if !bytes.Equal(state, first) {
			t.Errorf("%s has another state than %s", name, names[0])
		}
		places = append(places, place)
	}
	l.oracle.CompareFiles(id, places)
	l.want("")
	s := groups.New(0)
	if err := s.Restore(first); err != nil || len(s.Groups()) != 3 || s.End() < 300 {
		t.Errorf("%v: %d groups after %d commands", err, len(s.Groups()), s.End())
	}
}
