package launch

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// AwaitNodes returns when each of the given nodes itself answers a metadata request in which all of them are (the
// controller has unfenced them) and a controller is known. A node that dies meanwhile ends the wait at once.
func (c *Cluster) AwaitNodes(ctx context.Context, nodes ...*Node) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for _, n := range nodes {
		if err := n.awaitIn(ctx, nodes); err != nil {
			return err
		}
	}
	return nil
}

func (n *Node) awaitIn(ctx context.Context, nodes []*Node) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(n.Addr(Plain)), kgo.RetryTimeout(time.Second),
		kgo.DialTimeout(time.Second), kgo.RequestRetries(0))
	if err != nil {
		return err
	}
	defer client.Close()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		last := n.knows(ctx, client, nodes)
		if last == nil {
			return nil
		}
		select {
		case <-n.current().done:
			return fmt.Errorf("node %d ended while starting (%v); its last lines:\n%s", n.ID, n.current().err, n.LogTail(15))
		case <-ctx.Done():
			return fmt.Errorf("node %d is not ready: %w (%w); its last lines:\n%s", n.ID, last, ctx.Err(), n.LogTail(15))
		case <-tick.C:
		}
	}
}

// knows asks the node once and is nil when its answer names all nodes.
func (n *Node) knows(ctx context.Context, client *kgo.Client, nodes []*Node) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	request := kmsg.NewPtrMetadataRequest()
	request.Topics = []kmsg.MetadataRequestTopic{}
	response, err := client.SeedBrokers()[0].Request(ctx, request)
	if err != nil {
		return err
	}
	metadata := response.(*kmsg.MetadataResponse)
	if metadata.ControllerID < 0 {
		return errors.New("no controller yet")
	}
	for _, want := range nodes {
		if !slices.ContainsFunc(metadata.Brokers, func(b kmsg.MetadataResponseBroker) bool { return b.NodeID == want.ID }) {
			return fmt.Errorf("node %d is not in the metadata yet", want.ID)
		}
	}
	return nil
}
