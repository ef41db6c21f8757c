package broker

import (
	"testing"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/command"
	"github.com/reprise-mq/reprise/broker/replica"
)

// A proposal is answered by its own entry, not by one of another node, or of an
// earlier life, that happens to have its number.
func TestAnswerGoesByOriginAndNumber(t *testing.T) {
	answered := 0
	g := &group{waiting: map[command.Tag]func(*api.Response){{Origin: 1, Number: 7}: func(*api.Response) { answered++ }}}
	response := func() *api.Response { return &api.Response{} }
	g.answer(command.Tag{Origin: 2, Number: 7}, response)
	g.answer(command.Tag{Origin: 1, Number: 8}, response)
	if answered != 0 {
		t.Fatal("a proposal is answered by an entry that is not its own")
	}
	g.answer(command.Tag{Origin: 1, Number: 7}, response)
	g.answer(command.Tag{Origin: 1, Number: 7}, response)
	if answered != 1 {
		t.Fatalf("a proposal is answered %d times", answered)
	}
}

// In one burst a replica may be elected, take a proposal, and hear of a leader of a later
// term: its node sees no more than that another leads.
func TestProposalOfUnseenLeadership(t *testing.T) {
	var answer *api.Response
	g := &group{replica: &replica.Replica{}, waiting: map[command.Tag]func(*api.Response){{Number: 1}: func(r *api.Response) { answer = r }}}
	n := &Node{groups: map[api.GroupID]*group{api.MetaGroup: g}}
	n.Changed(g.replica)
	if answer.GetError().GetCode() != api.Code_LEADERSHIP_LOST {
		t.Errorf("it is answered %v", answer)
	}
}
