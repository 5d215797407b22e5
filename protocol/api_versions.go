package protocol

import "time"

// ApiVersionsRequest asks which versions of which APIs a broker speaks (API key 18, versions 0–4).
// Version 3 is flexible and adds the client's software name and version (KIP-511); version 4 lets a
// feature's lowest version be 0 in the answer.
//
// A broker that does not know the version asked answers in version 0 with [UnsupportedVersion].
type ApiVersionsRequest struct {
	ClientSoftwareName    string // 3+; letters, digits, '-' and '.', else the broker answers InvalidRequest
	ClientSoftwareVersion string // 3+; the same
}

// Key implements Request.
func (*ApiVersionsRequest) Key() APIKey { return KeyApiVersions }

func (m *ApiVersionsRequest) code(c *coder) {
	if c.reading {
		*m = ApiVersionsRequest{}
	}
	if c.since(3) {
		c.string("ClientSoftwareName", &m.ClientSoftwareName)
		c.string("ClientSoftwareVersion", &m.ClientSoftwareVersion)
	}
	c.noTags()
}

// ApiVersionsResponse answers an [ApiVersionsRequest]. Version 1 adds the throttle time, version 3 is flexible and
// adds the cluster's features.
type ApiVersionsResponse struct {
	ErrorCode              ErrorCode
	ApiKeys                []ApiVersionsResponseKey
	ThrottleTimeMs         int32                                 // 1+
	SupportedFeatures      []ApiVersionsResponseSupportedFeature // 3+, tagged
	FinalizedFeaturesEpoch int64                                 // 3+, tagged; -1: unknown
	FinalizedFeatures      []ApiVersionsResponseFinalizedFeature // 3+, tagged
	ZkMigrationReady       bool                                  // 3+, tagged
}

// ApiVersionsResponseKey is the range of versions a broker speaks of one API.
type ApiVersionsResponseKey struct {
	ApiKey     APIKey
	MinVersion int16
	MaxVersion int16
}

// ApiVersionsResponseSupportedFeature is a feature the broker supports (KIP-584).
type ApiVersionsResponseSupportedFeature struct {
	Name       string
	MinVersion int16
	MaxVersion int16
}

// ApiVersionsResponseFinalizedFeature is a feature level the cluster has agreed on (KIP-584).
type ApiVersionsResponseFinalizedFeature struct {
	Name            string
	MaxVersionLevel int16
	MinVersionLevel int16
}

// NewApiVersionsResponse gives a response with the schema's defaults.
func NewApiVersionsResponse() *ApiVersionsResponse {
	return &ApiVersionsResponse{FinalizedFeaturesEpoch: -1}
}

// Key implements Response.
func (*ApiVersionsResponse) Key() APIKey { return KeyApiVersions }

// Throttle implements Response.
func (m *ApiVersionsResponse) Throttle() time.Duration { return throttle(m.ThrottleTimeMs) }

func (m *ApiVersionsResponse) code(c *coder) {
	if c.reading {
		*m = *NewApiVersionsResponse()
	}
	c.errorCode("ErrorCode", &m.ErrorCode)
	array(c, "ApiKeys", &m.ApiKeys, (*ApiVersionsResponseKey).code)
	if c.since(1) {
		c.int32("ThrottleTimeMs", &m.ThrottleTimeMs)
	}
	c.tags(
		taggedField{0, "SupportedFeatures", 3, len(m.SupportedFeatures) > 0, func() {
			array(c, "SupportedFeatures", &m.SupportedFeatures, (*ApiVersionsResponseSupportedFeature).code)
		}},
		taggedField{1, "FinalizedFeaturesEpoch", 3, m.FinalizedFeaturesEpoch != -1, func() {
			c.int64("FinalizedFeaturesEpoch", &m.FinalizedFeaturesEpoch)
		}},
		taggedField{2, "FinalizedFeatures", 3, len(m.FinalizedFeatures) > 0, func() {
			array(c, "FinalizedFeatures", &m.FinalizedFeatures, (*ApiVersionsResponseFinalizedFeature).code)
		}},
		taggedField{3, "ZkMigrationReady", 3, m.ZkMigrationReady, func() {
			c.bool("ZkMigrationReady", &m.ZkMigrationReady)
		}},
	)
}

func (k *ApiVersionsResponseKey) code(c *coder) {
	c.int16("ApiKey", (*int16)(&k.ApiKey))
	c.int16("MinVersion", &k.MinVersion)
	c.int16("MaxVersion", &k.MaxVersion)
	c.noTags()
}

func (f *ApiVersionsResponseSupportedFeature) code(c *coder) {
	c.string("Name", &f.Name)
	c.int16("MinVersion", &f.MinVersion)
	c.int16("MaxVersion", &f.MaxVersion)
	c.noTags()
}

func (f *ApiVersionsResponseFinalizedFeature) code(c *coder) {
	c.string("Name", &f.Name)
	c.int16("MaxVersionLevel", &f.MaxVersionLevel)
	c.int16("MinVersionLevel", &f.MinVersionLevel)
	c.noTags()
}
