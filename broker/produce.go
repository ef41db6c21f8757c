package broker

import (
	"errors"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/batch"
	"github.com/reprise-mq/reprise/broker/command"
	"github.com/reprise-mq/reprise/broker/partition"
)

// produce appends a batch to a partition this node leads. It answers once the
// entry is applied here, which is after it was synced on a majority; at once if its
// producer is past the batch.
func (n *Node) produce(c caller, q *api.ProduceRequest) {
	answer := func(response *api.Response) { n.reply(c, response) }
	switch q.GetAcks() {
	case api.Acks_ALL:
	case api.Acks_NONE:
		answer = func(*api.Response) {}
	default:
		n.refuse(c, api.Errorf(api.Code_INVALID_REQUEST, "produce with acks %d: ask for ALL (0) or NONE (1)", q.GetAcks()))
		return
	}
	refuse := func(e *api.Error) { answer(&api.Response{Error: e}) }
	n.withLog(q.GetTopic(), q.GetPartition(), refuse, func(g *group) {
		if _, err := batch.Validate(q.GetBatch(), n.cfg.Codecs, n.maxBatchBytes(g)); err != nil {
			refuse(n.badBatch(g, q, err))
			return
		}
		if out, certain := g.partition.state.Past(q.GetBatch()); certain && g.replica.Serves() {
			answer(partitionResponse(out))
			return
		}
		if e := n.noRoom(g); e != nil {
			refuse(e)
			return
		}
		encode := func(tag command.Tag, now api.Milliseconds) ([]byte, *api.Error) {
			return partition.EncodeProduce(tag, now, g.partition.age(), q.GetBatch()), nil
		}
		if q.GetAcks() == api.Acks_NONE {
			g.propose(encode, nil)
			return
		}
		g.propose(encode, answer)
	})
}

// badBatch says why a batch is not accepted.
func (n *Node) badBatch(g *group, q *api.ProduceRequest, err error) *api.Error {
	code := api.Code_CORRUPT_BATCH
	switch {
	case errors.Is(err, batch.ErrTooLarge):
		return api.Errorf(api.Code_BATCH_TOO_LARGE, "batch of %d bytes for %s/%d is over the limit of %d, with its records decompressed or without; send smaller batches, or raise max.message.bytes",
			len(q.GetBatch()), q.GetTopic().GetName(), q.GetPartition(), n.maxBatchBytes(g))
	case errors.Is(err, batch.ErrUnsupportedCompression):
		code = api.Code_UNSUPPORTED_COMPRESSION
	}
	return api.Errorf(code, "batch of %d bytes for %s/%d: %v", len(q.GetBatch()), q.GetTopic().GetName(), q.GetPartition(), err)
}

// deleteRecords moves the log start up, as an entry of the log.
func (n *Node) deleteRecords(c caller, q *api.DeleteRecordsRequest) {
	refuse := func(e *api.Error) { n.refuse(c, e) }
	if q.GetBefore() < -1 {
		refuse(api.Errorf(api.Code_INVALID_REQUEST, "delete records before offset %d: offsets begin at 0; -1 means all that are there now", q.GetBefore()))
		return
	}
	n.withLog(q.GetTopic(), q.GetPartition(), refuse, func(g *group) {
		g.propose(func(tag command.Tag, now api.Milliseconds) ([]byte, *api.Error) {
			return partition.EncodeTrim(tag, now, api.Offset(q.GetBefore())), nil
		}, func(response *api.Response) { n.reply(c, response) })
	})
}
