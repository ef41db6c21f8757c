// Package bundle is the raft messages that one node has for another, of all groups
// together: how they are put into an api.PeerBatch and taken out of it.
//
// It owns which messages travel as a few numbers instead of as a raftpb.Message, and
// never what a message means.
package bundle

import (
	"iter"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/reprise-mq/reprise/broker/api"
)

// maxNumberBytes is how long a number is at most where it stands in a batch.
const maxNumberBytes = 10

// Add puts a message of a group into a batch, and says by how many bytes the batch
// grows at most. Nothing in the batch is m's.
func Add(batch *api.PeerBatch, group api.GroupID, m *raftpb.Message) (bytes int) {
	if len(m.GetContext()) == 0 {
		switch m.GetType() {
		case raftpb.MsgHeartbeat:
			batch.Heartbeats = append(batch.Heartbeats, uint64(group), m.GetFrom(), m.GetTo(), m.GetTerm(), m.GetCommit())
			return api.HeartbeatNumbers * maxNumberBytes
		case raftpb.MsgHeartbeatResp:
			batch.HeartbeatAnswers = append(batch.HeartbeatAnswers, uint64(group), m.GetFrom(), m.GetTo(), m.GetTerm())
			return api.HeartbeatAnswerNumbers * maxNumberBytes
		}
	}
	data, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		panic("bundle: raft message cannot be encoded")
	}
	batch.Raft = append(batch.Raft, &api.RaftMessage{Group: uint64(group), Message: data})
	return len(data)
}

// Messages gives what Add put into a batch, each with its group; what cannot be decoded
// is left out. A message is good until the next one comes. What its fields point at is
// the batch's, which must not be changed as long as anybody has them: raft keeps the
// From of what it answers.
func Messages(batch *api.PeerBatch) iter.Seq2[api.GroupID, *raftpb.Message] {
	return func(yield func(api.GroupID, *raftpb.Message) bool) {
		for _, packed := range batch.GetRaft() {
			m := &raftpb.Message{}
			if proto.Unmarshal(packed.GetMessage(), m) != nil {
				continue
			}
			if !yield(api.GroupID(packed.GetGroup()), m) {
				return
			}
		}
		m := &raftpb.Message{Type: raftpb.MsgHeartbeat.Enum()}
		for list := batch.GetHeartbeats(); len(list) >= api.HeartbeatNumbers; list = list[api.HeartbeatNumbers:] {
			m.From, m.To, m.Term, m.Commit = &list[1], &list[2], &list[3], &list[4]
			if !yield(api.GroupID(list[0]), m) {
				return
			}
		}
		m = &raftpb.Message{Type: raftpb.MsgHeartbeatResp.Enum()}
		for list := batch.GetHeartbeatAnswers(); len(list) >= api.HeartbeatAnswerNumbers; list = list[api.HeartbeatAnswerNumbers:] {
			m.From, m.To, m.Term = &list[1], &list[2], &list[3]
			if !yield(api.GroupID(list[0]), m) {
				return
			}
		}
	}
}
