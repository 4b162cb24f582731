"""PACS, OfficeHome and other sets of several domains, in the layouts and with the splits of DomainBed."""
