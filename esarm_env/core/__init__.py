"""The ground floor: what all four packages share; needs numpy and safetensors only."""
