package broker

import (
	"context"
	"encoding/binary"
	"fmt"

	"github.com/seed-7379b4e8/kafka/protocol"
)

// negotiate asks the broker what it speaks, in our highest version first. A broker that does not know that version
// says so in version 0 and names the highest it knows; brokers before 2.4 name none and get version 0 (KIP-511).
func (c *Conn) negotiate(ctx context.Context) error {
	_, version, _ := protocol.Versions(protocol.KeyApiVersions)
	for {
		req := &protocol.ApiVersionsRequest{
			ClientSoftwareName:    c.cfg.SoftwareName,
			ClientSoftwareVersion: c.cfg.SoftwareVersion,
		}
		r, err := c.roundTrip(ctx, req, version, 2*c.cfg.ConnectTimeout) // ctx, which Dial bounds, ends first
		if err != nil {
			return err
		}
		resp := r.(*protocol.ApiVersionsResponse)
		if resp.ErrorCode == protocol.UnsupportedVersion && version > 0 {
			version = lowerVersion(resp, version)
			continue
		}
		if err := resp.ErrorCode.Err(); err != nil {
			return fmt.Errorf("ApiVersions version %d: %w", version, err)
		}
		c.versions = make(map[protocol.APIKey]versionRange, len(resp.ApiKeys))
		for _, k := range resp.ApiKeys {
			c.versions[k.ApiKey] = versionRange{k.MinVersion, k.MaxVersion}
		}
		return nil
	}
}

// lowerVersion is what to ask next after UNSUPPORTED_VERSION in answer to version asked; always lower, so that
// no broker can keep us asking.
func lowerVersion(resp *protocol.ApiVersionsResponse, asked int16) int16 {
	for _, k := range resp.ApiKeys {
		if k.ApiKey == protocol.KeyApiVersions && k.MaxVersion >= 0 && k.MaxVersion < asked {
			return k.MaxVersion
		}
	}
	return 0
}

// decodeApiVersions decodes an ApiVersions response, which is in version 0 when its error says that the broker does
// not know the version asked.
func decodeApiVersions(body []byte, version int16, resp protocol.Response) error {
	if len(body) >= 2 && protocol.ErrorCode(binary.BigEndian.Uint16(body)) == protocol.UnsupportedVersion {
		version = 0
	}
	return protocol.DecodeResponse(body, version, resp)
}
