"""PACS, OfficeHome and other datasets of several domains, with the layouts and splits of DomainBed."""
