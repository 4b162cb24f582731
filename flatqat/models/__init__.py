"""Model sources: `tiny`, `cifar:resnet20`, `torchvision:NAME`, `timm:NAME`. One file each."""
