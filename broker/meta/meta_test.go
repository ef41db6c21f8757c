package meta

import (
	"testing"

	"github.com/reprise-mq/reprise/broker/api"
)

func TestSmoke(t *testing.T) {
	s, e := Found("c", "a:1", []byte("t1"), 0)
	if e != nil {
		t.Fatal(e)
	}
	for _, r := range []*api.Request{
		{Body: &api.Request_Join{Join: &api.JoinRequest{Token: []byte("t2"), Address: "a:2"}}},
		{Body: &api.Request_Join{Join: &api.JoinRequest{Token: []byte("t3"), Address: "a:3"}}},
		{Body: &api.Request_CreateTopic{CreateTopic: &api.CreateTopicRequest{Name: "x", Partitions: 4}}},
		{Body: &api.Request_InitProducer{InitProducer: &api.InitProducerRequest{}}},
		{Body: &api.Request_InitProducer{InitProducer: &api.InitProducerRequest{ProducerId: 1}}},
	} {
		b, e := Encode(Tag{1, 2}, 1000, r)
		if e != nil {
			t.Fatal(e)
		}
		t.Log(s.Apply(b))
	}
	n := New()
	if err := n.Restore(s.Save()); err != nil {
		t.Fatal(err)
	}
	for _, p := range n.ReplicasOn(1) {
		t.Log(p, p.Replicas)
	}
	t.Log(n.MetaConfig())
}
